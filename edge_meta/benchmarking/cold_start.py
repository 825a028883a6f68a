"""Measure what a bundle costs a fresh process: the time until its first answer, in parts, and its memory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.child_process import run_python

STARTS = 5
CLASSIFICATIONS = 50  # before memory counts as steady
PARTS = ("process_ms", "import_ms", "load_ms", "first_inference_ms", "first_answer_ms")
# Run as text, so that nothing is imported before its clock starts.
PROGRAM = Path(__file__).parent / "cold_start_child.py"


@dataclass(frozen=True)
class ColdStart:
    """Medians over fresh processes. The bundle and the packages are in the system's file cache.

    Attributes:
        total_ms: from the start of a process to its first answer.
        parts: milliseconds of each of `PARTS`: until Python runs; importing edge_meta, NumPy and the interpreter's package;
            loading the bundle, the interpreter with tensors allocated, and the store; the first embedding; scoring it.
        peak_rss_mb: memory of the whole process, at most.
        steady_rss_mb: the same after 50 more classifications. Both are None where the system does not tell.
    """

    total_ms: float
    parts: Mapping[str, float]
    peak_rss_mb: float | None
    steady_rss_mb: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "cold_start_ms": self.total_ms,
            "cold_start": dict(self.parts),
            "peak_rss_mb": self.peak_rss_mb,
            "steady_rss_mb": self.steady_rss_mb,
        }


def measure(
    bundle: Bundle, store: Path, options: RuntimeOptions, image: NDArray[Any], folder: Path, starts: int = STARTS
) -> ColdStart:
    """Start processes, one after the other, that each classify one image with a store.

    Args:
        options: with the backend that was taken.
        folder: for temporary files.
        starts: number of processes.

    Raises:
        BackendError: a process ended without an answer.
    """
    image_file = folder / "image.npy"
    np.save(image_file, image)
    arguments = json.dumps([str(bundle.path), str(store), vars(options), str(image_file), CLASSIFICATIONS], default=str)
    program = PROGRAM.read_text(encoding="utf-8")
    times, answers = [], []
    for _ in range(starts):
        started = time.monotonic()
        child = run_python("-c", program, arguments)
        if child.answer is None:
            raise BackendError(f"A fresh process could not classify ({child.reason}).", "Try another --backend.")
        answers.append(child.answer)
        times.append(1e3 * np.diff([started, *answers[-1]["moments"]]))
    return ColdStart(
        total_ms=round(median(float(parts.sum()) for parts in times), 1),
        parts={name: round(median(float(parts[at]) for parts in times), 2) for at, name in enumerate(PARTS)},
        peak_rss_mb=_median([answer["peak_rss_mb"] for answer in answers]),
        steady_rss_mb=_median([answer["steady_rss_mb"] for answer in answers]),
    )


def _median(megabytes: Sequence[float | None]) -> float | None:
    known = [each for each in megabytes if each is not None]
    return round(median(known), 1) if known else None
