"""The text that edge-meta benchmark prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_meta.benchmarking.cold_start import ColdStart
from edge_meta.benchmarking.results import Benchmark, BundleTiming
from edge_meta.benchmarking.sweep import VariantTiming
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.runtime.backends import RuntimeOptions

COLUMNS = ("p50", "p90", "p99", "max")


def lines(result: Benchmark) -> Iterator[str]:
    """Lay a benchmark out as tables."""
    yield machine(result.host)
    yield runtime(result.options)
    for timed in result.bundles:
        yield from _bundle(timed)
    yield ""
    yield f"score of {result.first.bundle}, by classes"
    yield from _table({f"{classes:,}": stage for classes, stage in result.score_by_classes.items()})
    if result.litert_benchmark_us is not None:
        yield f"litert-benchmark: embed {result.litert_benchmark_us:,.0f} µs (median, to 10 µs)"
    if result.energy is not None:
        millijoules = 1e3 * result.energy.joules_per_classification
        yield f"energy: {millijoules:.3g} mJ a classification, beside {result.energy.idle_watts:g} W when idle"
    if result.side_by_side:
        yield ""
        yield f"embed of {result.first.bundle}, other ways to run it"
        yield from map(_variant, result.side_by_side)
    if result.baseline is not None:
        differs = f" (not the same: {', '.join(result.baseline.differs)})" if result.baseline.differs else ""
        yield ""
        yield f"median over the baseline's{differs}"
        yield from (f"  {stage:<24}{ratio:>8.2f}" for stage, ratio in result.baseline.ratios.items())
    yield from (f"Note: {text}" for text in result.notes)
    yield from (f"Warning: {text}" for text in result.warnings)


def machine(host: Mapping[str, Any]) -> str:
    """Describe the machine in one line."""
    return f"{host['cpu']}, {host['cores']} cores, {host['os']}, Python {host['python']}"


def runtime(options: RuntimeOptions) -> str:
    """Describe how an encoder runs: backend, threads, XNNPACK, and delegate or accelerator."""
    delegate = "" if options.delegate is None else f", {options.delegate}"
    if options.accelerator is not None:
        delegate = f", CompiledModel on the {options.accelerator.upper()}"
    threads = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    return f"{options.backend}, {threads}{'' if options.xnnpack else ', no XNNPACK'}{delegate}"


def cold_start_parts(cold_start: ColdStart) -> list[tuple[str, float]]:
    """Return the parts of a cold start, named in plain words, in milliseconds."""
    return [(part.removesuffix("_ms").replace("_", " "), value) for part, value in cold_start.parts.items()]


def memory(cold_start: ColdStart) -> str | None:
    """Describe the memory of a whole process; None where the system does not tell."""
    if cold_start.peak_rss_mb is None:
        return None
    steady = "" if cold_start.steady_rss_mb is None else f", steady {cold_start.steady_rss_mb:,.0f} MB"
    return f"peak {cold_start.peak_rss_mb:,.0f} MB{steady}"


def figures(stage: StageTiming) -> list[str]:
    """Write a stage's figures in µs, in the order of `COLUMNS`."""
    return [f"{value:,.1f}" for value in (stage.p50_us, stage.p90_us, stage.p99_us, stage.max_us)]


def _bundle(timed: BundleTiming) -> Iterator[str]:
    yield ""
    yield f"{timed.bundle}, {timed.quantization}, {timed.model_bytes:,} bytes"
    yield from _table(timed.stages)
    yield f"interpreter alone {timed.bare_us:,.1f} µs: embed takes {timed.embed_over_bare:.2f} times as long"
    parts = ", ".join(f"{name} {milliseconds:,.1f}" for name, milliseconds in cold_start_parts(timed.cold_start))
    yield f"cold start {timed.cold_start.total_ms:,.0f} ms: {parts}"
    used = memory(timed.cold_start)
    if used is not None:
        yield f"memory of the process: {used}"


def _variant(variant: VariantTiming) -> str:
    label = runtime(variant.options)
    if variant.embed is None:
        return f"  {label}: {variant.error}"
    ratio = "" if variant.ratio is None else f"{variant.ratio:.2f}"
    return f"  {label:<38}{variant.embed.p50_us:>10,.1f} µs{ratio:>8}    loads in {variant.load_ms:,.1f} ms"


def _table(stages: Mapping[str, StageTiming]) -> Iterator[str]:
    yield f"{'µs':<12}" + "".join(f"{column:>13}" for column in COLUMNS) + f"{'runs':>7}"
    for name, stage in stages.items():
        yield f"{name:<12}" + "".join(f"{figure:>13}" for figure in figures(stage)) + f"{stage.runs:>7,}"
