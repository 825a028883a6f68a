"""Measure the accuracy that `adapt` gains over prototypes, by shots, and how long one gradient step takes.

    python benchmarks/adaptation.py BUNDLE --dataset omniglot [--json]

Print a table by shots. Each episode enrolls its support set and classifies the same queries with the prototypes and with
each solver's head. `gain` is the mean difference of accuracy in points, `ci95` the half width of its 95 % interval over
episodes. `default` is the solver of `edge-meta adapt BUNDLE`; `gradient` takes the bundle's steps at its rates unless
`--steps` allows more.

`step_us` is the median of one gradient step over 20 classes of 5 shots, 64-d; `step_ratio` its ratio to the two matrix
products in it, timed in turn.
"""

from __future__ import annotations

import json
from typing import Any

import click
import numpy as np

from edge_meta.benchmarking.timing import median_seconds
from edge_meta.choices import SOLVERS
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import adapted_head
from edge_meta.evaluation.interval import Interval
from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder

RUNS = 3000


def gains(
    bundle: Bundle, dataset: str, way: int, shots: list[int], query: int, episodes: int, steps: int | None
) -> dict[str, Any]:
    """Return shots → accuracy of the prototypes, and each solver's gain over it."""
    manifest = bundle.manifest
    data = load_dataset(dataset, "test", manifest.input_spec)
    embeddings = embed_all(open_encoder(bundle), manifest.input_spec, data.examples)
    learned = manifest.learning_rates, manifest.rates_learned
    configs = {name: AdaptationConfig.of(*learned, name, steps if name == "gradient" else None) for name in SOLVERS}
    table = {}
    for shot in shots:
        sampler = EpisodeSampler(data, way, shot, query, seed=0)
        before = accuracies(embeddings, sampler, episodes)
        row: dict[str, Any] = {"prototypes": _points(Interval.of(before))}
        for name, config in configs.items():
            after = accuracies(embeddings, sampler, episodes, adapted_head(config))
            row[name] = _points(Interval.of(after - before), "gain")
        table[str(shot)] = row
    return table


def step_times(way: int = 20, shot: int = 5, dim: int = 64) -> tuple[float, float]:
    """Return the median seconds of a gradient step, and of its two matrix products."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(0, 0.1, (way * shot, dim)).astype(np.float32)
    labels = np.repeat(np.arange(way), shot)
    weights, bias = linear.linear_from_prototypes(embeddings.reshape(way, shot, dim).mean(axis=1))
    excess = rng.normal(size=(way * shot, way)).astype(np.float32)
    works = {
        "step": lambda: linear.linear_step(embeddings, labels, weights, bias, 0.01),
        "products": lambda: (embeddings @ weights, embeddings.T @ excess),
    }
    medians = median_seconds(works, RUNS)
    return medians["step"], medians["products"]


def _points(interval: Interval, name: str = "accuracy") -> dict[str, float]:
    return {name: round(100 * interval.mean, 2), "ci95": round(100 * interval.ci95, 2)}


@click.command()
@click.argument("bundle", default="omniglot")
@click.option("--dataset", default="omniglot", help="Its test split is enrolled.")
@click.option("--way", default=20, help="Classes in an episode.")
@click.option("--shots", default=[1, 2, 5, 10, 15], multiple=True, type=int)
@click.option("--query", default=5, help="Query examples of each class.")
@click.option("--episodes", default=300)
@click.option("--steps", type=int, help="Gradient steps allowed.  [default: the bundle's]")
@click.option("--json", "as_json", is_flag=True)
def main(bundle: str, as_json: bool, **protocol: Any) -> None:
    """Evaluate `adapt` with BUNDLE on episodes of a dataset, and print its gains over prototypes."""
    opened = Bundle.open(bundle)
    table = gains(opened, **{**protocol, "shots": list(protocol["shots"])})
    whole, bare = step_times()
    result = {
        "trained_on": opened.manifest.training.get("dataset"),
        **protocol,
        "default": AdaptationConfig.of(opened.manifest.learning_rates, opened.manifest.rates_learned).solver,
        "by_shots": table,
        "step_us": round(1e6 * whole, 1),
        "step_ratio": round(whole / bare, 2),
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo("".join(f"{name:<16}" for name in ("shots", "prototypes", *SOLVERS)))
    for shot, row in table.items():
        cells = [f"{cell.get('gain', cell.get('accuracy')):.2f} ± {cell['ci95']:.2f}" for cell in row.values()]
        click.echo("".join(f"{cell:<16}" for cell in (shot, *cells)))
    click.echo(f"the default is {result['default']}; one gradient step takes {result['step_us']} µs, ", nl=False)
    click.echo(f"{result['step_ratio']} times its two matrix products")


if __name__ == "__main__":
    main()
