"""What edge-meta benchmark prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FIGURES = ("p50_us", "p90_us", "p99_us", "max_us")


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The result of `edge_meta.benchmarking.runner.benchmark`, as tables."""
    host, by_bundle = result["host"], [result, *result["others"]]
    yield f"{host['cpu']}, {host['cores']} cores, {host['os']}, Python {host['python']}"
    yield way(result)
    for facts in by_bundle:
        yield ""
        yield f"{facts['bundle']}, {facts['quantization']}, {facts['model_bytes']:,} bytes"
        yield from _table(facts["stages"])
        yield f"interpreter alone {facts['bare_us']:,.1f} µs: embed takes {facts['embed_over_bare']:.2f} times as long"
        parts = ", ".join(f"{name} {milliseconds:,.1f}" for name, milliseconds in cold_start(facts))
        yield f"cold start {facts['cold_start_ms']:,.0f} ms: {parts}"
        if facts["peak_rss_mb"] is not None:
            steady = "" if facts["steady_rss_mb"] is None else f", steady {facts['steady_rss_mb']:,.0f} MB"
            yield f"memory of the process: peak {facts['peak_rss_mb']:,.0f} MB{steady}"
    yield ""
    yield f"score of {result['bundle']}, by classes"
    yield from _table({f"{int(classes):,}": stage for classes, stage in result["score_by_classes"].items()})
    if result["litert_benchmark_us"] is not None:
        yield f"litert-benchmark: embed {result['litert_benchmark_us']:,.0f} µs (median, to 10 µs)"
    if result["energy"] is not None:
        spent = result["energy"]
        millijoules = 1e3 * spent["joules_per_classification"]
        yield f"energy: {millijoules:.3g} mJ a classification, beside {spent['idle_watts']:g} W when idle"
    if result["side_by_side"]:
        yield ""
        yield f"embed of {result['bundle']}, other ways to run it"
        for row in result["side_by_side"]:
            if "error" in row:
                yield f"  {way(row)}: {row['error']}"
            else:
                yield f"  {way(row):<38}{row['p50_us']:>10,.1f} µs{row['ratio']:>8.2f}    loads in {row['load_ms']:,.1f} ms"
    if "baseline" in result:
        compared = result["baseline"]
        differs = f" (not the same: {', '.join(compared['differs'])})" if compared["differs"] else ""
        yield ""
        yield f"median over the baseline's{differs}"
        yield from (f"  {stage:<24}{ratio:>8.2f}" for stage, ratio in compared["ratios"].items())
    yield from (f"Note: {text}" for text in result["notes"])
    yield from (f"Warning: {text}" for text in result["warnings"])


def way(row: Mapping[str, Any]) -> str:
    """How an encoder is run."""
    delegate = "" if row["delegate"] is None else f", {row['delegate']}"
    threads = "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"
    return f"{row['backend']}, {threads}{'' if row['xnnpack'] else ', no XNNPACK'}{delegate}"


def cold_start(facts: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The parts of a cold start as people say them, in milliseconds."""
    return [(part.removesuffix("_ms").replace("_", " "), value) for part, value in facts["cold_start"].items()]


def _table(stages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"{'µs':<12}{'p50':>13}{'p90':>13}{'p99':>13}{'max':>13}{'runs':>7}"
    for name, stage in stages.items():
        yield f"{name:<12}" + "".join(f"{stage[figure]:>13,.1f}" for figure in FIGURES) + f"{stage['runs']:>7,}"
