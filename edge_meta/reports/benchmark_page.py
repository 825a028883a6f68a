"""The page of edge-meta benchmark --report: one HTML file that needs no other, made without matplotlib."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from edge_meta.reports import charts
from edge_meta.reports.benchmark_text import FIGURES, cold_start, way
from edge_meta.reports.page import page, section


def render(result: Mapping[str, Any]) -> str:
    """The page of what `edge_meta.benchmarking.runner.benchmark` gives."""
    host, by_bundle = result["host"], [result, *result["others"]]
    names = ", ".join(facts["bundle"] for facts in by_bundle)
    machine = f"{host['cpu']}, {host['cores']} cores, {host['os']}, Python {host['python']}; {way(result)}"
    sections = [
        f"<h1>{html.escape(names)} on this machine</h1>",
        f'<p class="quiet">{html.escape(machine)}.</p>',
        *(f"<p><strong>Warning:</strong> {html.escape(text)}</p>" for text in result["warnings"]),
        section(
            "Stages",
            "Median of each stage; the thin line goes on to the 99th percentile. Logarithmic. <em>total</em> is a whole "
            "classification with 20 classes; enroll and adapt end when they are on the disk.",
            charts.bars("Median time of each stage", _stages(by_bundle), "µs") + "".join(map(_table, by_bundle)),
        ),
        section(
            "Scoring by number of classes",
            "Head, softmax, ranking and rejection of one embedding.",
            charts.log_log("Time of scoring by number of classes", _by_classes(result), "classes", "µs"),
        ),
        section(
            "Cold start",
            "From starting a process to its first answer, medians; files are in the system's cache.",
            charts.stacks(
                "Parts of a cold start", [(_name(facts), cold_start(facts)) for facts in by_bundle], "ms"
            ) + _memory(by_bundle),
        ),
    ]  # fmt: skip
    if result["side_by_side"]:
        text = f"The stage <em>embed</em> of {html.escape(result['bundle'])}, timed in turn."
        sections.append(section("Side by side", text, _side_by_side(result["side_by_side"])))
    if "baseline" in result:
        rows = "".join(f"<tr><td>{stage}<td>{ratio:.2f}" for stage, ratio in result["baseline"]["ratios"].items())
        sections.append(section("Against the baseline", "Median over the earlier run's.", f"<table>{rows}</table>"))
    sections += [f'<p class="quiet">{html.escape(text)}</p>' for text in result["notes"]]
    return page(f"edge_meta: {names}", sections)


def _name(facts: Mapping[str, Any]) -> str:
    return f"{facts['bundle']}, {facts['quantization']}"


def _stages(by_bundle: list[Mapping[str, Any]]) -> list[charts.Bar]:
    """Grouped by stage, a colour for each bundle."""
    return [
        charts.Bar(
            f"{stage}, {facts['bundle']}" if len(by_bundle) > 1 else stage,
            facts["stages"][stage]["p50_us"], facts["stages"][stage]["p99_us"], charts.COLOURS[at % len(charts.COLOURS)],
        )
        for stage in by_bundle[0]["stages"]
        for at, facts in enumerate(by_bundle)
    ]  # fmt: skip


def _table(facts: Mapping[str, Any]) -> str:
    heads = "".join(f"<th>{head}" for head in ("p50", "p90", "p99", "max", "runs"))
    rows = [f"<tr><th>{html.escape(_name(facts))}, {facts['model_bytes']:,} bytes; µs{heads}"]
    for name, stage in facts["stages"].items():
        figures = "".join(f"<td>{stage[figure]:,.1f}" for figure in FIGURES)
        rows.append(f"<tr><td>{name}{figures}<td>{stage['runs']:,}")
    return f"<table>{''.join(rows)}</table>"


def _by_classes(result: Mapping[str, Any]) -> dict[str, charts.Points]:
    stages = result["score_by_classes"]
    return {
        name: [(float(classes), stage[figure]) for classes, stage in stages.items()]
        for name, figure in (("90th percentile", "p90_us"), ("median", "p50_us"))
    }


def _side_by_side(rows: list[Mapping[str, Any]]) -> str:
    bars = [charts.Bar(way(row), row["p50_us"], row["p99_us"]) for row in rows if "p50_us" in row]
    failed = [f"<p>{html.escape(way(row))}: {html.escape(row['error'])}</p>" for row in rows if "error" in row]
    return (charts.bars("Time of embed by back end", bars, "µs") if bars else "") + "".join(failed)


def _memory(by_bundle: list[Mapping[str, Any]]) -> str:
    told = [
        f"{html.escape(_name(facts))}: peak {facts['peak_rss_mb']:,.0f} MB"
        + ("" if facts["steady_rss_mb"] is None else f", steady {facts['steady_rss_mb']:,.0f} MB")
        for facts in by_bundle
        if facts["peak_rss_mb"] is not None
    ]
    return f"<p>Memory of the whole process: {'; '.join(told)}.</p>" if told else ""
