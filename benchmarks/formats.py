"""Measure size, accuracy and latency of an encoder in each format, on the device's runtimes.

    python benchmarks/formats.py [RUN] [--mirror] [--peer PYTHON]... [--json]

Export RUN in every format, and print a table. Accuracy is over 2,000 episodes of the test split, 20-way 1-shot, 15 queries,
the same episodes for all formats; ai-edge-litert embeds each example once. The drop against float32 is paired. Latency is
that of set_tensor, invoke, get_tensor on one thread, the formats in turn, as medians and as ratios to float32: in this
process, and in each PEER, the Python of another venv, such as one with tflite-runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edge_meta.benchmarking.timing import median_seconds
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder

EPISODES, WAY, SHOT, QUERY, SEED = 2000, 20, 1, 15, 0
RUNS, WARMUP = 500, 3


@click.command()
@click.argument("run", default="benchmarks/omniglot")
@click.option("--mirror", is_flag=True, help="As for export.")
@click.option("--peer", "peers", multiple=True, metavar="PYTHON", help="Another venv's Python to time in, too.")
@click.option("--json", "as_json", is_flag=True)
@click.option("--time", "timed", hidden=True, metavar="FOLDER", help="Only time the bundles in a folder.")
def main(run: str, mirror: bool, peers: tuple[str, ...], as_json: bool, timed: str | None) -> None:
    """Export RUN in every format, and print size, accuracy and latency of each."""
    if timed:
        click.echo(json.dumps(latencies(Path(timed))))
        return
    from converters import export_bundle
    from converters.quantization.formats import FORMATS

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundles = {}
        for name in FORMATS:
            click.echo(f"{name}: exporting, embedding the test split", err=True)
            bundles[name] = export_bundle(run, folder / f"{name}.bundle", quantize=name, mirror=mirror)
        found = judged(bundles)
        runtimes = [latencies(folder)] + [
            json.loads(subprocess.check_output([peer, __file__, "--time", str(folder)], text=True)) for peer in peers
        ]
    for name, bundle in bundles.items():
        found[name] |= {"model_bytes": len(bundle.model), "cosine_p10": bundle.manifest.parity["cosine"]["p10"]}
    result = {
        "protocol": f"omniglot test, {WAY}-way {SHOT}-shot, {QUERY} queries, {EPISODES} episodes, seed {SEED}",
        "formats": found,
        "embed": runtimes,
    }
    click.echo(json.dumps(result) if as_json else "\n".join(table(result)))


def judged(bundles: dict[str, Bundle]) -> dict[str, dict[str, Any]]:
    """Return each bundle's accuracy, and its drop in points against float32 on the same episodes."""
    input_spec = bundles["float32"].manifest.input_spec
    data = load_dataset(bundles["float32"].manifest.training["dataset"], "test", input_spec)
    sampler = EpisodeSampler(data, WAY, SHOT, QUERY, SEED)
    litert = RuntimeOptions("litert")
    values = {
        name: accuracies(embed_all(Encoder(bundle.model, litert), input_spec, data.examples), sampler, EPISODES)
        for name, bundle in bundles.items()
    }
    found = {}
    for name, each in values.items():
        accuracy, drop = Interval.of(each), Interval.of(values["float32"] - each)
        found[name] = {
            "accuracy": round(accuracy.mean, 5),
            "ci95": round(accuracy.ci95, 5),
            "drop_points": round(100 * drop.mean, 3),
            "drop_ci95_points": round(100 * drop.ci95, 3),
        }
    return found


def latencies(folder: Path) -> dict[str, Any]:
    """Time each format's bundle in the folder, in this Python's interpreter: median µs, and ratios to float32."""
    encoders = {path.name.removesuffix(".bundle"): Encoder(Bundle.open(path).model) for path in sorted(folder.iterdir())}
    rng = np.random.default_rng(0)
    works = {name: partial(each.embed, rng.random(each.input_shape, np.float32)) for name, each in encoders.items()}
    # Before each call that counts come others, since another encoder has just filled the caches.
    medians = median_seconds(works, RUNS, uncounted=WARMUP)
    return {
        "backend": encoders["float32"].backend,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "p50_us": {name: round(1e6 * median, 1) for name, median in medians.items()},
        "ratio": {name: round(median / medians["float32"], 2) for name, median in medians.items()},
    }


def table(result: dict[str, Any]) -> list[str]:
    """Return the result as lines of Markdown."""
    backends = [runtime["backend"] for runtime in result["embed"]]
    lines = [
        f"{result['protocol']}; embed as ratio to float32, one thread",
        "",
        f"| format | bytes | accuracy | drop, points | {' | '.join(backends)} |",
        f"| --- | --- | --- | --- |{' --- |' * len(backends)}",
    ]
    for name, row in result["formats"].items():
        ratios = " | ".join(f"{runtime['ratio'][name]:.2f}" for runtime in result["embed"])
        lines.append(
            f"| {name} | {row['model_bytes']:,} | {100 * row['accuracy']:.2f} ± {100 * row['ci95']:.2f} % | "
            f"{row['drop_points']:.2f} ± {row['drop_ci95_points']:.2f} | {ratios} |"
        )
    return lines


if __name__ == "__main__":
    main()
