"""Time a bundle's encoder in every installed backend, with and without XNNPACK, and by number of threads, in turn."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from edge_meta.benchmarking import timing
from edge_meta.benchmarking.encoder_process import EncoderProcess
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.errors import BackendError
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle

THREADS = (1, 2, 4)
PACKAGES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "tensorflow": "tensorflow"}
WARMUP = 10


@dataclass(frozen=True)
class VariantTiming:
    """The stage `embed` with options of its own.

    Attributes:
        options: with the backend named.
        load_ms: time to load an interpreter and allocate its tensors.
        embed: its timing.
        ratio: its median over the first variant's; None if that one does not run.
        error: why it does not run; the rest is None then.
    """

    options: RuntimeOptions
    load_ms: float | None = None
    embed: StageTiming | None = None
    ratio: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        row = options_to_json(self.options)
        if self.error is not None:
            return {**row, "error": self.error}
        figures = {} if self.embed is None else self.embed.to_json()
        ratio = {} if self.ratio is None else {"ratio": self.ratio}
        return {**row, "load_ms": self.load_ms, **figures, **ratio}


def options_to_json(options: RuntimeOptions) -> dict[str, Any]:
    """Return the options that tell variants apart."""
    return {
        "backend": options.backend,
        "threads": options.threads,
        "xnnpack": options.xnnpack,
        "delegate": None if options.delegate is None else str(options.delegate),
        "accelerator": options.accelerator,
    }


def installed() -> list[str]:
    """Return the backends whose package is there, whether it works or not."""
    return [backend for backend, package in PACKAGES.items() if importlib.util.find_spec(package) is not None]


def variants(options: RuntimeOptions, backends: Sequence[str], cores: int) -> list[RuntimeOptions]:
    """Return the options themselves; then, without a delegate or an accelerator, other numbers of threads, and each backend
    with and without XNNPACK."""
    plain = replace(options, delegate=None, delegate_options={}, fallback=None, accelerator=None)
    others = [plain, *(replace(plain, threads=threads) for threads in THREADS if threads <= cores)]
    others += [replace(plain, backend=backend, xnnpack=xnnpack) for backend in backends for xnnpack in (True, False)]
    chosen = [options, *others]
    return [each for at, each in enumerate(chosen) if each not in chosen[:at]]


def side_by_side(bundle: Bundle, chosen: Sequence[RuntimeOptions], runs: int, limit: float) -> list[VariantTiming]:
    """Time the stage `embed` in each of the variants.

    Args:
        chosen: variants; each names its backend.
        runs, limit: of each, as in `timing.in_turn`.
    """
    rows = [VariantTiming(options) for options in chosen]
    with ExitStack() as running:
        backends = dict.fromkeys(str(options.backend) for options in chosen)
        processes = {backend: running.enter_context(EncoderProcess(bundle)) for backend in backends}
        samplers: dict[int, timing.Sampler] = {}
        for at, options in enumerate(chosen):
            process = processes[str(options.backend)]
            try:
                rows[at] = replace(rows[at], load_ms=round(1e3 * process.load(at, options), 2))
                samplers[at] = partial(process.sample, at)
            except BackendError as error:
                rows[at] = replace(rows[at], error=error.cause)
        for at, rounds in timing.in_turn(samplers, runs, WARMUP, limit).items():
            rows[at] = replace(rows[at], embed=StageTiming.of(rounds))
    first = rows[0].embed
    return [
        row if first is None or row.embed is None else replace(row, ratio=round(row.embed.p50_us / first.p50_us, 2))
        for row in rows
    ]
