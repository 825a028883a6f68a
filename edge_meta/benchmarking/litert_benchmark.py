"""Get a second opinion on `embed` from the benchmark in ai-edge-litert, which runs the file through CompiledModel."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from edge_meta.errors import BackendError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.child_process import run_python

TOOL = "ai_edge_litert.tools.benchmark_litert_model"
SECONDS = 60.0


def median_us(bundle: Bundle, runs: int, threads: int, folder: Path, tool: str = TOOL) -> float:
    """Return the tool's median µs of `runs` calls of `embed`, which it prints to 10 µs.

    Args:
        folder: for temporary files.
        tool: the module that is run.

    Raises:
        BackendError: the tool is not installed, or does not run, with the reason.
    """
    remedy = "Run: pip install ai-edge-litert"
    if not _installed(tool):
        raise BackendError("litert-benchmark is not installed.", remedy)
    model, result = folder / "encoder.tflite", folder / "litert-benchmark.json"
    model.write_bytes(bundle.model)
    arguments = ["-m", tool, f"--model={model}", f"--num_runs={runs}", f"--num_threads={threads}"]
    if "embed" in bundle.manifest.signatures:  # without any, the tool runs the first subgraph, as we do
        arguments.append("--signature=embed")
    try:
        child = run_python(*arguments, f"--result_json={result}", seconds=SECONDS)
    except TimeoutError as error:
        raise BackendError(f"litert-benchmark was {error}.", remedy) from None
    try:
        return 1e3 * float(json.loads(result.read_bytes())["latency"]["median_ms"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BackendError(f"litert-benchmark does not run here ({child.reason}).", remedy) from None


def _installed(tool: str) -> bool:
    try:
        return importlib.util.find_spec(tool) is not None
    except ModuleNotFoundError:  # the package around the tool
        return False
