"""The page of edge-meta benchmark --report: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_meta.benchmarking.baseline import Comparison
from edge_meta.benchmarking.results import Benchmark, BundleTiming
from edge_meta.benchmarking.sweep import VariantTiming
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.reports import charts
from edge_meta.reports.benchmark_text import COLUMNS, cold_start_parts, figures, machine, memory, runtime
from edge_meta.reports.page import escaped, page, section
from edge_meta.reports.svg import COLOURS


def render(result: Benchmark) -> str:
    """Return the page of a benchmark."""
    names = ", ".join(timed.bundle for timed in result.bundles)
    sections = [
        f"<h1>{escaped(names)} on this machine</h1>",
        f'<p class="quiet">{escaped(f"{machine(result.host)}; {runtime(result.options)}")}.</p>',
        *(f"<p><strong>Warning:</strong> {escaped(text)}</p>" for text in result.warnings),
        section(
            "Stages",
            "Median of each stage; the thin line goes on to the 99th percentile. Logarithmic. <em>total</em> is a whole "
            "classification with 20 classes; enroll and adapt end when they are on the disk.",
            stage_chart(result.bundles) + "".join(map(_table, result.bundles)),
        ),
        section(
            "Scoring by number of classes",
            "Head, softmax, ranking and rejection of one embedding.",
            charts.log_log("Time of scoring by number of classes", _by_classes(result.score_by_classes), "classes", "µs"),
        ),
        section(
            "Cold start",
            "From starting a process to its first answer, medians; files are in the system's cache.",
            _cold_starts(result.bundles),
        ),
    ]
    if result.side_by_side:
        text = f"The stage <em>embed</em> of {escaped(result.first.bundle)}, timed in turn."
        sections.append(section("Side by side", text, _side_by_side(result.side_by_side)))
    if result.baseline is not None:
        sections.append(section("Against the baseline", "Median over the earlier run's.", _baseline(result.baseline)))
    sections += [f'<p class="quiet">{escaped(text)}</p>' for text in result.notes]
    return page(f"edge_meta: {names}", sections)


def stage_chart(bundles: Sequence[BundleTiming]) -> str:
    """Draw the median time of each stage, with a line to its 99th percentile; a colour for each bundle."""
    bars = [
        charts.Bar(
            f"{name}, {timed.bundle}" if len(bundles) > 1 else name,
            timed.stages[name].p50_us, timed.stages[name].p99_us, COLOURS[at % len(COLOURS)],
        )
        for name in bundles[0].stages
        for at, timed in enumerate(bundles)
        if name in timed.stages
    ]  # fmt: skip
    return charts.bars("Median time of each stage", bars, "µs")


def _name(timed: BundleTiming) -> str:
    return f"{timed.bundle}, {timed.quantization}"


def _table(timed: BundleTiming) -> str:
    heads = "".join(f"<th>{head}" for head in (*COLUMNS, "runs"))
    rows = [f"<tr><th>{escaped(_name(timed))}, {timed.model_bytes:,} bytes; µs{heads}"]
    for name, stage in timed.stages.items():
        rows.append(f"<tr><td>{name}" + "".join(f"<td>{figure}" for figure in figures(stage)) + f"<td>{stage.runs:,}")
    return f"<table>{''.join(rows)}</table>"


def _by_classes(stages: Mapping[int, StageTiming]) -> dict[str, charts.Points]:
    return {
        "90th percentile": [(classes, stage.p90_us) for classes, stage in stages.items()],
        "median": [(classes, stage.p50_us) for classes, stage in stages.items()],
    }


def _cold_starts(bundles: Sequence[BundleTiming]) -> str:
    rows = [(_name(timed), cold_start_parts(timed.cold_start)) for timed in bundles]
    chart = charts.stacks("Parts of a cold start", rows, "ms")
    used = [(_name(timed), memory(timed.cold_start)) for timed in bundles]
    told = "; ".join(escaped(f"{name}: {text}") for name, text in used if text is not None)
    return chart + (f"<p>Memory of the whole process: {told}.</p>" if told else "")


def _side_by_side(variants: Sequence[VariantTiming]) -> str:
    run = [(runtime(variant.options), variant.embed) for variant in variants if variant.embed is not None]
    bars = [charts.Bar(label, timing.p50_us, timing.p99_us) for label, timing in run]
    failed = [f"{runtime(variant.options)}: {variant.error}" for variant in variants if variant.error is not None]
    chart = charts.bars("Time of embed by backend", bars, "µs") if bars else ""
    return chart + "".join(f"<p>{escaped(text)}</p>" for text in failed)


def _baseline(baseline: Comparison) -> str:
    rows = "".join(f"<tr><td>{escaped(stage)}<td>{ratio:.2f}" for stage, ratio in baseline.ratios.items())
    return f"<table>{rows}</table>"
