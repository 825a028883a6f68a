"""How long a bundle takes on this machine, stage by stage, and how much memory."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError
from edge_meta.runtime import heads
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier

CLASSES = 20
SHOTS = 5
COLD_STARTS = 3

# The whole life of a fresh process up to its first answer; then its peak memory, where the system tells.
_COLD_START = """
import json, sys
import numpy as np
from edge_meta import Classifier
bundle, store, options, image = json.loads(sys.argv[1])
with Classifier.load(bundle, store, **options) as classifier:
    classifier.classify(np.load(image))
print("answered", flush=True)
try:
    # Not getrusage: there Linux counts what the parent held before it became this process.
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6)
except OSError:
    try:
        import resource
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
    except ImportError:
        print("null")
"""


def benchmark(
    bundle: Bundle,
    runs: int = 500,
    warmup: int = 50,
    options: RuntimeOptions = DEFAULT,
    on_note: Callable[[str], None] = lambda note: None,
) -> dict[str, Any]:
    """Time a bundle against 20 synthetic classes of 5 shots in a temporary store.

    The stages of one classification are timed in turn, run by run, so that a change of the machine's speed meets all alike:
    `preprocess` (checks and normalization of an array at the encoder's size), `embed` (set_tensor, invoke, get_tensor),
    `score` (head, softmax, ranking, rejection), and `total`, a whole `Classifier.classify`.

    Returns:
        backend, threads, xnnpack, delegate, runs; stages → p50_us, p90_us, p99_us; enroll_us (one shot, until it is safe on
        the disk); adapt_step_us (one gradient step over the 100 shots); cold_start_ms (a fresh process until its first
        answer); peak_rss_mb (of that process; None where the system does not tell); model_bytes; host.

    Raises:
        InputError: runs or warmup out of range. BundleError, BackendError, StoreError: see `Classifier.load`.
    """
    if runs < 1 or warmup < 0:
        raise InputError(f"{runs} runs after {warmup} for warm-up are not possible.", "Use 1 or more, and 0 or more.")
    rng = np.random.default_rng(0)
    image_input = bundle.manifest.image_input
    images = image_input.synthetic(rng, CLASSES * SHOTS).reshape(CLASSES, SHOTS, *image_input.shape)
    with tempfile.TemporaryDirectory(prefix="edge-meta-") as folder:
        store = Path(folder) / "benchmark.db"
        with Classifier.load(bundle, store, **vars(options)) as classifier:
            on_note(f"enrolling {CLASSES} synthetic classes")
            enroll = [_enroll(classifier, f"class {label}", image) for label, shots in enumerate(images) for image in shots]
            on_note(f"{warmup} + {runs} classifications on {classifier.encoder.backend}")
            stages = _stages(classifier, images[0, 0], runs, warmup)
            adapt_step = _adapt_step(classifier, images, runs)
            options = classifier.encoder.options
        on_note("starting fresh processes")
        starts = [_cold_start(bundle, store, options, images[0, 0], folder) for _ in range(COLD_STARTS)]
    return {
        "backend": options.backend,
        "threads": options.threads,
        "xnnpack": options.xnnpack,
        "delegate": None if options.delegate is None else str(options.delegate),
        "runs": runs,
        "stages": {name: _percentiles(times) for name, times in stages.items()},
        "enroll_us": round(1e6 * statistics.median(enroll), 1),
        "adapt_step_us": round(1e6 * adapt_step, 1),
        "cold_start_ms": round(1e3 * statistics.median(seconds for seconds, _ in starts), 1),
        "peak_rss_mb": starts[0][1],
        "model_bytes": len(bundle.model),
        "host": host(),
    }


def host() -> dict[str, Any]:
    """This machine: cpu, cores, os, python."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _stages(classifier: Classifier, image: NDArray[Any], runs: int, warmup: int) -> dict[str, list[float]]:
    image_input, encoder = classifier.bundle.manifest.image_input, classifier.encoder
    times: dict[str, list[float]] = {"preprocess": [], "embed": [], "score": [], "total": []}
    clock = time.perf_counter
    for run in range(warmup + runs):
        at = [clock()]
        normalized = image_input.normalize(image_input.read(image))[None]
        at.append(clock())
        embedding = encoder.embed(normalized)
        at.append(clock())
        classifier.classify_embedding(embedding)
        at.append(clock())
        classifier.classify(image)
        at.append(clock())
        if run >= warmup:
            for stage, seconds in zip(times.values(), np.diff(at), strict=True):
                stage.append(float(seconds))
    return times


def _enroll(classifier: Classifier, label: str, image: NDArray[Any]) -> float:
    return _seconds(lambda: classifier.enroll(label, image[None]))


def _adapt_step(classifier: Classifier, images: NDArray[Any], runs: int) -> float:
    """Median seconds of one gradient step over all enrolled shots."""
    embeddings = np.stack([classifier.embed(image) for shots in images for image in shots])
    labels = np.repeat(np.arange(CLASSES), SHOTS)
    weights, bias = heads.linear_from_prototypes(embeddings.reshape(CLASSES, SHOTS, -1).mean(axis=1))
    return statistics.median(
        _seconds(lambda: heads.linear_step(embeddings, labels, weights, bias, 1e-3)) for _ in range(runs)
    )


def _cold_start(
    bundle: Bundle, store: Path, options: RuntimeOptions, image: NDArray[Any], folder: str
) -> tuple[float, float | None]:
    """Seconds from starting a process to its first answer, and its peak memory in MB."""
    saved = Path(folder) / "image.npy"
    np.save(saved, image)
    arguments = json.dumps([str(bundle.path), str(store), vars(options), str(saved)], default=str)
    log = Path(folder) / "errors.txt"
    started = time.perf_counter()
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", _COLD_START, arguments], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        answer = process.stdout.readline()
        seconds = time.perf_counter() - started
        rest = process.stdout.read()
    if answer.strip() != "answered":
        reason = log.read_text().strip().splitlines()[-1:] or ["no output"]
        raise BackendError(f"A fresh process could not classify ({reason[0]}).", "Try another --backend.")
    peak = json.loads(rest)
    return seconds, None if peak is None else round(peak, 1)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{percent}_us": round(1e6 * float(np.percentile(seconds, percent)), 1) for percent in (50, 90, 99)}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
