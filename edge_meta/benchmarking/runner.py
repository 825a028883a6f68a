"""How long a bundle takes on this machine, stage by stage, and how much memory: will it be fast enough on my board?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from edge_meta.benchmarking import energy_counters, noise_warnings, stages, timing
from edge_meta.benchmarking.cold_start import fresh_processes
from edge_meta.benchmarking.litert_benchmark import litert_benchmark_us
from edge_meta.benchmarking.stages import Subject
from edge_meta.benchmarking.sweep import installed, side_by_side, variants
from edge_meta.errors import BackendError, InputError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.machine import host

RUNS = 500
LIMIT = 5.0  # seconds a stage, unless a number of runs is asked for
SIDE_LIMIT = 2.0  # seconds for adapting, for each number of classes, and for each variant


def benchmark(
    bundles: Sequence[Bundle],
    runs: int | None = None,
    warmup: int = 50,
    options: RuntimeOptions = DEFAULT,
    sweep: bool = True,
    energy: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
) -> dict[str, Any]:
    """Time bundles against 20 synthetic classes of 5 shots each, in temporary stores.

    The stages of all bundles are timed in turn, round by round, so that a change of the machine's speed meets all alike.

    Args:
        bundles: the first is the one that is looked at most closely.
        runs: calls of each stage; 500, or as many as fit into five seconds, unless given.
        warmup: calls before those.
        sweep: whether to run the first bundle in every installed back end too, with and without XNNPACK, and with other
            numbers of threads.
        energy: whether to read the CPU's energy counters.
        on_note: told what is going on.

    Returns:
        backend, threads, xnnpack, delegate; runs; and of the first bundle: bundle, quantization, model_bytes; stages, those
        of `stages.Subject` → `timing.summary`; bare_us, the interpreter's invoke alone, and embed_over_bare; enroll_us and
        adapt_step_us, medians; what `fresh_processes` gives. Then score_by_classes, number of classes → `timing.summary`;
        litert_benchmark_us; side_by_side, a list of variants; energy; others, for further bundles what is said of the first;
        warnings, what spoils the figures; notes, what could not be measured, which is None then; host.

    Raises:
        InputError: no bundle, or runs or warmup out of range.
        BundleError, BackendError, StoreError: see `Classifier.load`.
    """
    count = RUNS if runs is None else runs
    if count < 1 or warmup < 0 or not bundles:
        raise InputError(f"{count} runs after {warmup} for warm-up are not possible.", "Use 1 or more, and 0 or more.")
    load_before = noise_warnings.load()
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edge-meta-") as temporary:
        folder = Path(temporary).resolve()
        with ExitStack() as opened:
            subjects = []
            for at, bundle in enumerate(bundles):
                subjects.append(Subject.load(bundle, folder / f"{at}.db", options))
                opened.enter_context(subjects[-1].classifier)
            on_note(f"enrolling {stages.CLASSES} synthetic classes")
            for subject in subjects:
                subject.enroll()
            first, ran = subjects[0].classifier, [subject.classifier.encoder.options for subject in subjects]
            on_note(f"timing {count} runs of each stage on {ran[0].backend}")
            works = {(at, name): work for at, each in enumerate(subjects) for name, work in each.works().items()}
            samplers = {key: timing.sampler(work) for key, work in works.items()}
            limit = LIMIT if runs is None else float("inf")
            for (at, name), rounds in timing.in_turn(samplers, count, warmup, limit).items():
                subjects[at].timed[name] = rounds
            for subject in subjects:
                subject.adapt(count, SIDE_LIMIT)
            on_note(f"scoring up to {stages.BY_CLASSES[-1]:,} classes")
            by_classes = stages.score_by_classes(first, folder, count, SIDE_LIMIT)
            joules = _or_note(notes, partial(_energy, subjects[0])) if energy else None
        on_note("starting fresh processes")
        facts = [
            {**_facts(subject), **fresh_processes(subject.bundle, subject.store, how, subject.images[0, 0], folder)}
            for subject, how in zip(subjects, ran, strict=True)
        ]
        opinion = _or_note(notes, partial(litert_benchmark_us, bundles[0], count, ran[0].threads, folder))
        rows = []
        if sweep:
            on_note("running it in other ways")
            rows = side_by_side(bundles[0], variants(ran[0], installed(), os.cpu_count() or 1), count, SIDE_LIMIT)
        warnings = noise_warnings.warnings(load_before, ran[0].threads, facts[0]["stages"], folder)
    if not isinstance(bundles[0].manifest.input_spec, ImageInput):
        notes.append("Decoding and resizing are not timed: the encoder takes no images.")
    elif not stages.has_pillow():
        notes.append('Decoding is not timed: Pillow is not installed (pip install "edge-meta[image]").')
    return {
        "backend": ran[0].backend,
        "threads": ran[0].threads,
        "xnnpack": ran[0].xnnpack,
        "delegate": None if ran[0].delegate is None else str(ran[0].delegate),
        "runs": count,
        **facts[0],
        "score_by_classes": by_classes,
        "litert_benchmark_us": opinion,
        "side_by_side": rows,
        "energy": joules,
        "others": facts[1:],
        "warnings": warnings,
        "notes": notes,
        "host": host(),
    }


def _facts(subject: Subject) -> dict[str, Any]:
    bundle, figures = subject.bundle, {name: timing.summary(rounds) for name, rounds in subject.timed.items()}
    bare = figures.pop("bare")["p50_us"]
    return {
        "bundle": bundle.name,
        "quantization": bundle.manifest.quantization,
        "model_bytes": len(bundle.model),
        "stages": {name: figures[name] for name in stages.ORDER if name in figures},
        "bare_us": bare,
        "embed_over_bare": round(figures["embed"]["p50_us"] / bare, 3),
        "enroll_us": figures["enroll"]["p50_us"],
        "adapt_step_us": figures["adapt_step"]["p50_us"],
    }


def _energy(subject: Subject) -> dict[str, Any]:
    return energy_counters.energy(
        partial(subject.classifier.classify, subject.images[0, 0]), energy_counters.Counters(energy_counters.POWERCAP)
    )


def _or_note(notes: list[str], measure: Callable[[], Any]) -> Any:
    """What is measured; or None, and a note why it could not be."""
    try:
        return measure()
    except BackendError as error:
        notes.append(str(error))
        return None
