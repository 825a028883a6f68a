"""Time bundles on this machine, stage by stage, and measure their memory: will it be fast enough on my board?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_meta.benchmarking import cold_start, energy_counters, litert_benchmark, stages, timing
from edge_meta.benchmarking.energy_counters import Counters, Energy
from edge_meta.benchmarking.noise_warnings import noise_warnings, system_load
from edge_meta.benchmarking.results import Benchmark, BundleTiming
from edge_meta.benchmarking.stages import Subject
from edge_meta.benchmarking.sweep import VariantTiming, installed, side_by_side, variants
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.errors import BackendError, InputError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.machine import host

RUNS = 500
LIMIT = 5.0  # seconds a stage, unless a number of runs is asked for
SIDE_LIMIT = 2.0  # seconds for adapting, for each number of classes, and for each variant
WATCHED = ("embed", "total")  # stages whose rounds show whether the machine's speed changed

Measured = TypeVar("Measured")
Notify = Callable[[str], None]


@dataclass(frozen=True)
class BenchmarkConfig:
    """The amount of measuring.

    Attributes:
        runs: calls of each stage; None for 500, or as many as fit into five seconds.
        warmup: calls before those.
        sweep: whether to run the first bundle in every installed backend too, with and without XNNPACK, and with other
            numbers of threads.
        energy: whether to read the CPU's energy counters.
        shots: of each of the 20 synthetic classes.
        class_counts: numbers of classes to score.
        adaptations: the most runs of the stage `adapt`, which takes long.
        starts: fresh processes for each bundle.
        powercap: folder of the energy counters.

    Raises:
        InputError: runs or warmup out of range.
    """

    runs: int | None = None
    warmup: int = 50
    sweep: bool = True
    energy: bool = False
    shots: int = stages.SHOTS
    class_counts: Sequence[int] = stages.CLASS_COUNTS
    adaptations: int = stages.ADAPTATIONS
    starts: int = cold_start.STARTS
    powercap: Path = energy_counters.POWERCAP

    def __post_init__(self) -> None:
        if self.count < 1 or self.warmup < 0:
            raise InputError(
                f"{self.count} runs after {self.warmup} for warm-up are not possible.", "Use 1 or more, and 0 or more."
            )

    @property
    def count(self) -> int:
        """Calls of each stage, if time allows."""
        return RUNS if self.runs is None else self.runs


def benchmark(
    bundles: Sequence[Bundle],
    config: BenchmarkConfig | None = None,
    options: RuntimeOptions = DEFAULT,
    on_note: Notify = lambda note: None,
) -> Benchmark:
    """Time bundles against 20 synthetic classes, in temporary stores.

    The stages of all bundles are timed in turn, round by round, so that a change of the machine's speed meets all alike.

    Args:
        bundles: the first is the one that is looked at most closely.
        on_note: told what is going on.

    Raises:
        InputError: no bundle.
        BundleError, BackendError, StoreError: see `Classifier.load`; or the GPU is a program.
    """
    if not bundles:
        raise InputError("There is no bundle to time.", "Name one or more.")
    config = config or BenchmarkConfig()
    load_before = system_load()
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edge-meta-") as temporary:
        folder = Path(temporary).resolve()
        with ExitStack() as opened:
            subjects = []
            for at, bundle in enumerate(bundles):
                subjects.append(Subject.load(bundle, folder / f"{at}.db", options, config.shots))
                opened.enter_context(subjects[-1].classifier)
            _require_hardware(subjects[0].classifier.encoder)
            first = subjects[0].classifier
            _time_stages(subjects, config, on_note)
            on_note(f"scoring up to {config.class_counts[-1]:,} classes")
            by_classes = stages.score_by_classes(first, folder, config.count, SIDE_LIMIT, config.class_counts)
            energy = _or_note(notes, partial(_energy, subjects[0], config.powercap)) if config.energy else None
        on_note("starting fresh processes")
        timed = [_figures(subject, config.starts, folder) for subject in subjects]
        ran = first.encoder.options
        opinion = _or_note(notes, partial(litert_benchmark.median_us, bundles[0], config.count, ran.threads, folder))
        side = _side_by_side(bundles[0], ran, config.count, on_note) if config.sweep else []
        spreads = {stage: timed[0].stages[stage].spread for stage in WATCHED}
        warnings = noise_warnings(load_before, ran.threads, spreads, folder)
    notes += _unmeasured(bundles[0])
    return Benchmark(ran, config.count, timed[0], timed[1:], by_classes, opinion, side, energy, warnings, notes, host())


def _require_hardware(encoder: Encoder) -> None:
    if encoder.placement is not None and encoder.placement.software:
        raise BackendError(
            f"The GPU is a program that computes on the CPU, so its times say nothing: {encoder.placement.device}.",
            "Compare its embeddings with: edge-meta inspect BUNDLE --runtime --accelerator gpu",
        )


def _time_stages(subjects: Sequence[Subject], config: BenchmarkConfig, on_note: Notify) -> None:
    on_note(f"enrolling {stages.CLASSES} synthetic classes")
    for subject in subjects:
        subject.enroll()
    on_note(f"timing {config.count} runs of each stage on {subjects[0].classifier.encoder.backend}")
    samplers = {
        (at, name): timing.sampler(work) for at, subject in enumerate(subjects) for name, work in subject.works().items()
    }
    limit = LIMIT if config.runs is None else float("inf")
    for (at, name), rounds in timing.in_turn(samplers, config.count, config.warmup, limit).items():
        subjects[at].timed[name] = rounds
    for subject in subjects:
        subject.adapt(min(config.count, config.adaptations), SIDE_LIMIT)


def _figures(subject: Subject, starts: int, folder: Path) -> BundleTiming:
    bundle, figures = subject.bundle, {name: StageTiming.of(rounds) for name, rounds in subject.timed.items()}
    options = subject.classifier.encoder.options
    return BundleTiming(
        bundle.name,
        bundle.manifest.quantization,
        len(bundle.model),
        {name: figures[name] for name in stages.STAGES if name in figures},
        figures[stages.BARE].p50_us,
        cold_start.measure(bundle, subject.store, options, subject.images[0, 0], folder, starts),
    )


def _energy(subject: Subject, powercap: Path) -> Energy:
    return energy_counters.measure(partial(subject.classifier.classify, subject.images[0, 0]), Counters(powercap))


def _side_by_side(bundle: Bundle, options: RuntimeOptions, runs: int, on_note: Notify) -> list[VariantTiming]:
    on_note("running it in other ways")
    return side_by_side(bundle, variants(options, installed(), os.cpu_count() or 1), runs, SIDE_LIMIT)


def _unmeasured(bundle: Bundle) -> list[str]:
    """Return a note if there are stages that this encoder, or this installation, does not have."""
    if not isinstance(bundle.manifest.input_spec, ImageInput):
        return ["Decoding and resizing are not timed: the encoder takes no images."]
    if not stages.has_pillow():
        return ['Decoding is not timed: Pillow is not installed (pip install "edge-meta[image]").']
    return []


def _or_note(notes: list[str], measure: Callable[[], Measured]) -> Measured | None:
    """Measure; or return None, with a note why it cannot be measured."""
    try:
        return measure()
    except BackendError as error:
        notes.append(str(error))
        return None
