"""Run a bundle's encoder on everything that is present, each in a process of its own, and lay it out in one table."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_meta.benchmarking import energy_counters, timing
from edge_meta.benchmarking.energy_counters import Counters
from edge_meta.errors import EdgeMetaError
from edge_meta.runtime.backend_comparison import synthetic_embeddings
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.child_process import run_python
from edge_meta.runtime.interpreter import open_encoder

WAYS = (None, "cpu", "gpu", "npu")  # None is the interpreter, with which the others are compared


@dataclass(frozen=True)
class AcceleratorRun:
    """An encoder on one accelerator.

    Attributes:
        accelerator: None for the interpreter.
        compile_ms: until it is compiled and has run once; None for a GPU that is a program, whose times say nothing.
        embed_us: median of an embedding after that; None likewise.
        difference: the largest from the interpreter's embeddings, in their own unit; None if that one does not run.
        peak_rss_mb: memory of its process, at most; None where the system does not tell.
        joules: of an embedding, by the CPU packages' counters; None unless asked for.
        device: the GPU, as its driver names it.
        on_cpu: the number of operators left to the CPU; None for the interpreter.
        error: why it does not run; the rest is None then.
    """

    accelerator: str | None
    compile_ms: float | None = None
    embed_us: float | None = None
    difference: float | None = None
    peak_rss_mb: float | None = None
    joules: float | None = None
    device: str | None = None
    on_cpu: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run_accelerators(bundle: Bundle, runs: int, threads: int, powercap: Path | None = None) -> list[AcceleratorRun]:
    """Run a bundle's encoder in the interpreter and on each accelerator.

    Args:
        runs: embeddings that are timed on each.
        threads: as in `RuntimeOptions`.
        powercap: folder of the energy counters; None measures no energy.

    Raises:
        BackendError: the energy counters cannot be read.
    """
    if powercap is not None:
        Counters(powercap)  # say what is wrong with them before the work
    found: list[AcceleratorRun] = []
    first: Any = None
    for accelerator in WAYS:
        question = json.dumps([str(bundle.path), accelerator, runs, threads, powercap and str(powercap)])
        child = run_python("-c", f"from {__name__} import main; main()", question)
        if child.answer is None or "error" in child.answer:
            error = child.reason if child.answer is None else child.answer["error"]
            found.append(AcceleratorRun(accelerator, error=error))
            continue
        embeddings = np.array(child.answer.pop("embeddings"))
        first = embeddings if accelerator is None else first
        difference = None if first is None else float(np.abs(embeddings - first).max())
        found.append(AcceleratorRun(accelerator, difference=difference, **child.answer))
    return found


def lines(bundle: str, found: list[AcceleratorRun]) -> Iterator[str]:
    """Lay the runs out as a table."""
    with_energy = any(run.joules is not None for run in found)
    energy = f"{'energy':>12}" if with_energy else ""
    yield f"{bundle:<14}{'compile':>12}{'embed':>12}{'difference':>12}{'memory':>10}{energy}  operators on the CPU"
    for run in found:
        name = "interpreter" if run.accelerator is None else run.accelerator
        if run.error is not None:
            yield f"{name:<14}{run.error}"
            continue
        compiled = "–" if run.compile_ms is None else f"{run.compile_ms:,.1f} ms"
        embed = "–" if run.embed_us is None else f"{run.embed_us:,.1f} µs"
        apart = "–" if run.difference is None else f"{run.difference:.3g}"
        memory = "–" if run.peak_rss_mb is None else f"{run.peak_rss_mb:,.0f} MB"
        if with_energy:
            energy = f"{'–':>12}" if run.joules is None else f"{1e3 * run.joules:>9.3g} mJ"
        left = "" if run.on_cpu is None or run.accelerator == "cpu" else f"  {run.on_cpu}"
        yield f"{name:<14}{compiled:>12}{embed:>12}{apart:>12}{memory:>10}{energy}{left}"
    if any(run.error is None and run.embed_us is None for run in found):
        yield "The GPU is a program that computes on the CPU: its speed means nothing, and is not told."


# In the child


def main() -> None:
    """Answer with the fields of `AcceleratorRun` and the embeddings, or with an error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that what native code prints is no answer
    warnings.simplefilter("ignore")
    path, accelerator, runs, threads, powercap = json.loads(sys.argv[1])
    try:
        answer = _measured(Bundle.open(path), RuntimeOptions(threads=threads, accelerator=accelerator), runs, powercap)
    except EdgeMetaError as error:
        answer = {"error": error.cause}
    answers.write(json.dumps(answer) + "\n")
    answers.close()


def _measured(bundle: Bundle, options: RuntimeOptions, runs: int, powercap: str | None) -> dict[str, Any]:
    spec = bundle.manifest.input_spec
    example = spec.normalize(spec.synthetic(np.random.default_rng(0), 1)[0])[None]
    started = time.perf_counter()
    encoder = open_encoder(bundle, options)
    encoder.embed(example)
    taken, placement = time.perf_counter() - started, encoder.placement
    hardware = placement is None or not placement.software
    embed = partial(encoder.embed, example)
    seconds = timing.sampler(embed)(runs) if hardware else None
    energy = energy_counters.measure(embed, Counters(Path(powercap))) if hardware and powercap else None
    return {
        "embeddings": synthetic_embeddings(bundle, encoder).tolist(),
        "compile_ms": round(1e3 * taken, 1) if hardware else None,
        "embed_us": None if seconds is None else round(1e6 * float(np.median(seconds)), 1),
        "peak_rss_mb": _peak_mb(),
        "joules": None if energy is None else energy.joules_per_classification,
        "device": None if placement is None else placement.device,
        "on_cpu": None if placement is None else placement.on_cpu,
    }


def _peak_mb() -> float | None:
    try:
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return round(int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024, 1)
