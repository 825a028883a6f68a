"""edge-meta benchmark."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_meta.cli.common import emit, given, json_option, runtime_options
from edge_meta.cli.progress import note
from edge_meta.runtime.backends import RuntimeOptions

if TYPE_CHECKING:
    from edge_meta.benchmarking.baseline import Comparison


@click.command()
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@click.option(
    "--runs", type=click.IntRange(min=1), help="Calls of each stage that count.  [default: 500, within 5 seconds a stage]"
)
@click.option("--warmup", default=50, show_default=True, type=click.IntRange(min=0), help="Calls of each before those.")
@click.option(
    "--sweep/--no-sweep", default=True, help="Run it in other backends and on other numbers of threads.  [default: yes]"
)
@click.option("--energy", is_flag=True, help="Measure joules, where the CPU has counters that this user may read.")
@click.option("--baseline", metavar="FILE", help="Compare with what an earlier run printed with --json.")
@click.option(
    "--max-regression", default=1.2, show_default=True, type=click.FloatRange(min=1.0),
    help="With --baseline: it is an error if a stage takes more than this many times as long.",
)  # fmt: skip
@click.option("--report", metavar="FILE", help="Write a page with charts, .html.")
@partial(runtime_options, or_all=True)
@json_option
def benchmark(
    bundles: tuple[str, ...],
    runs: int | None,
    warmup: int,
    sweep: bool,
    energy: bool,
    baseline: str | None,
    max_regression: float,
    report: str | None,
    options: RuntimeOptions,
    all_accelerators: bool,
    as_json: bool,
) -> None:
    """Time each BUNDLE on this machine, stage by stage, against 20 synthetic classes in a temporary store.

    \b
    Examples:
      edge-meta benchmark omniglot
      edge-meta benchmark omniglot --report benchmark.html --energy
      edge-meta benchmark float32.bundle int8.bundle    # side by side, timed in turn
      edge-meta benchmark omniglot --accelerator all    # interpreter, CPU, GPU and NPU in one table
      edge-meta benchmark omniglot --json > before.json
      edge-meta benchmark omniglot --baseline before.json    # exit code 1 if a stage is slower

    \b
    decode       a PNG of the encoder's size, in memory; needs Pillow
    resize       an image of twice the encoder's height and width
    preprocess   checks and normalization of an image at its size
    embed        the encoder
    score        head, softmax, ranking, rejection
    total        a whole classification of an image at the encoder's size
    enroll       one shot, until it is on the disk
    adapt_step   one gradient step over all shots
    adapt        a whole adaptation, until it is on the disk

    The first bundle is looked at most closely. Warnings tell what on the machine makes the figures unreliable.
    """
    from edge_meta import files
    from edge_meta.benchmarking import baseline as baselines
    from edge_meta.benchmarking.runner import BenchmarkConfig, benchmark
    from edge_meta.errors import InputError
    from edge_meta.reports.benchmark_page import render
    from edge_meta.reports.benchmark_text import lines
    from edge_meta.runtime.bundle import Bundle

    if all_accelerators:
        _compare_accelerators(bundles, runs or 100, options.threads, energy, as_json)
        return
    if baseline is None and given(["max_regression"]):
        raise click.UsageError("--max-regression is for --baseline.")
    earlier = None if baseline is None else baselines.read(baseline)
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise InputError(f"The folder of {report} does not exist.", "Make it first.")
    if report is not None:
        files.writable(Path(report))  # say what is wrong with it before the work
    config = BenchmarkConfig(runs, warmup, sweep, energy)
    result = benchmark([Bundle.open(bundle) for bundle in bundles], config, options, note)
    if earlier is not None:
        result = replace(result, baseline=baselines.compare(result.to_json(), earlier, max_regression))
    if report is not None:
        files.write_text(Path(report), render(result))
        note(f"{report} written")
    emit(result.to_json(), as_json, lines(result))
    if result.baseline is not None:
        _raise_if_slower(result.baseline, str(baseline))


def _compare_accelerators(bundles: tuple[str, ...], runs: int, threads: int, energy: bool, as_json: bool) -> None:
    from edge_meta.benchmarking import accelerators
    from edge_meta.benchmarking.energy_counters import POWERCAP
    from edge_meta.runtime.bundle import Bundle

    unused = given(["warmup", "sweep", "baseline", "max_regression", "report", "backend", "xnnpack", "delegate"])
    if unused:
        raise click.UsageError(f"--accelerator all takes no --{unused[0].replace('_', '-')}.")
    powercap = POWERCAP if energy else None
    found = {bundle: accelerators.run_accelerators(Bundle.open(bundle), runs, threads, powercap) for bundle in bundles}
    emit(
        {"accelerators": {bundle: [run.to_json() for run in ran] for bundle, ran in found.items()}},
        as_json,
        [line for bundle, ran in found.items() for line in accelerators.lines(bundle, ran)],
    )


def _raise_if_slower(compared: Comparison, name: str) -> None:
    from edge_meta.errors import RegressionError

    if compared.slower:
        told = ", ".join(f"{stage} {compared.ratios[stage]:.2f}" for stage in compared.slower)
        raise RegressionError(
            f"Slower than {name} by more than a factor of {compared.max_regression:g}: {told}.",
            "Run it again when nothing else runs on the machine. If it stays slower, look at what changed since.",
        )
