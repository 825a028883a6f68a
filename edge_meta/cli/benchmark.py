"""edge-meta benchmark."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option, runtime_options
from edge_meta.cli.progress import note
from edge_meta.runtime.backends import RuntimeOptions


@click.command()
@click.argument("bundle")
@click.option("--runs", default=500, show_default=True, type=click.IntRange(min=1), help="Classifications that count.")
@click.option("--warmup", default=50, show_default=True, type=click.IntRange(min=0), help="Classifications before that.")
@runtime_options
@json_option
def benchmark(bundle: str, runs: int, warmup: int, options: RuntimeOptions, as_json: bool) -> None:
    """Time BUNDLE on this machine, stage by stage, against 20 synthetic classes in a temporary store.

    \b
    Examples:
      edge-meta benchmark omniglot
      edge-meta benchmark letters.bundle --runs 2000 --backend tflite --json
    """
    from edge_meta.runtime.benchmark import benchmark
    from edge_meta.runtime.bundle import Bundle

    result = benchmark(Bundle.open(bundle), runs, warmup, options, note)
    host = result["host"]
    lines = [
        f"{host['cpu']}, {host['cores']} cores, {host['os']}, Python {host['python']}",
        f"{result['backend']}, {result['threads']} thread(s), {result['model_bytes']:,} bytes, {result['runs']} runs",
        f"{'µs':<12}{'p50':>10}{'p90':>10}{'p99':>10}",
    ]
    for name, stage in result["stages"].items():
        lines.append(f"{name:<12}{stage['p50_us']:>10,.1f}{stage['p90_us']:>10,.1f}{stage['p99_us']:>10,.1f}")
    peak = "" if result["peak_rss_mb"] is None else f", peak memory {result['peak_rss_mb']:,.0f} MB"
    lines += [
        f"enroll one shot {result['enroll_us']:,.0f} µs, adapt step {result['adapt_step_us']:,.0f} µs",
        f"cold start {result['cold_start_ms']:,.0f} ms{peak}",
    ]
    emit(result, as_json, lines)
