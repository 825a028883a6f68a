"""What a bundle costs a fresh process: the time until its first answer, split, and its memory."""

from __future__ import annotations

import json
import time
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


def fresh_processes(
    bundle: Bundle, store: Path, options: RuntimeOptions, image: NDArray[Any], folder: Path
) -> dict[str, Any]:
    """Start processes that each classify one image with a store, one after the other.

    Args:
        options: with the backend that was taken.
        folder: for temporary files.

    Returns:
        cold_start_ms, from the start until the first answer; cold_start, its parts: `process_ms` (until Python runs),
        `import_ms` (edge_meta, NumPy and the interpreter's package), `load_ms` (bundle, interpreter with tensors allocated,
        store), `first_inference_ms`, `first_answer_ms` (scoring). Medians; bundle and packages are in the system's file
        cache. peak_rss_mb, and steady_rss_mb after 50 more classifications, of the whole process; None where the system does
        not tell.

    Raises:
        BackendError: a process ended without an answer.
    """
    saved = folder / "image.npy"
    np.save(saved, image)
    arguments = json.dumps([str(bundle.path), str(store), vars(options), str(saved), CLASSIFICATIONS], default=str)
    program = (Path(__file__).parent / "cold_start_child.py").read_text(encoding="utf-8")
    splits, answers = [], []
    for _ in range(STARTS):
        started = time.monotonic()
        child = run_python("-c", program, arguments)
        if child.answer is None:
            raise BackendError(f"A fresh process could not classify ({child.reason}).", "Try another --backend.")
        answers.append(child.answer)
        splits.append(1e3 * np.diff([started, *answers[-1]["moments"]]))
    return {
        "cold_start_ms": round(median(float(split.sum()) for split in splits), 1),
        "cold_start": {part: round(median(float(split[at]) for split in splits), 2) for at, part in enumerate(PARTS)},
        "peak_rss_mb": _median([answer["peak_rss_mb"] for answer in answers]),
        "steady_rss_mb": _median([answer["steady_rss_mb"] for answer in answers]),
    }


def _median(megabytes: list[float | None]) -> float | None:
    known = [each for each in megabytes if each is not None]
    return round(median(known), 1) if known else None
