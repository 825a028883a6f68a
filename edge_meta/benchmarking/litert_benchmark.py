"""A second opinion on `embed`: the benchmark that comes with ai-edge-litert, which runs the file through CompiledModel."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from edge_meta.errors import BackendError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.child_process import run_python

TOOL = "ai_edge_litert.tools.benchmark_litert_model"
SECONDS = 60.0


def litert_benchmark_us(bundle: Bundle, runs: int, threads: int, folder: Path) -> float:
    """Its median of so many runs of `embed`, which it tells in hundredths of a millisecond.

    Args:
        folder: for temporary files.

    Raises:
        BackendError: it is not installed, or does not run, with the reason.
    """
    remedy = "Run: pip install ai-edge-litert"
    if not _installed():
        raise BackendError("litert-benchmark is not installed.", remedy)
    model, result = folder / "encoder.tflite", folder / "litert-benchmark.json"
    model.write_bytes(bundle.model)
    arguments = ["-m", TOOL, f"--model={model}", f"--num_runs={runs}", f"--num_threads={threads}"]
    if "embed" in bundle.manifest.signatures:  # without any, it runs the first, as we do
        arguments.append("--signature=embed")
    try:
        child = run_python(*arguments, f"--result_json={result}", seconds=SECONDS)
    except TimeoutError as error:
        raise BackendError(f"litert-benchmark was {error}.", remedy) from None
    try:
        return 1e3 * float(json.loads(result.read_bytes())["latency"]["median_ms"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BackendError(f"litert-benchmark does not run here ({child.reason}).", remedy) from None


def _installed() -> bool:
    try:
        return importlib.util.find_spec(TOOL) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False
