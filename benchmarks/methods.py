"""Train and evaluate every method at an equal budget, beside the papers' figures.

    python benchmarks/methods.py [--images 100000] [--seeds 3] [--output FILE]

Print a table in Markdown. Each method trains the same Conv4-64 on 1-shot episodes of Omniglot's 25 background alphabets,
with rotations as classes, until it has seen the same number of training images, support and query alike; it keeps its last
weights. Then it is evaluated on 600 5-way episodes with 15 queries from the 20 evaluation alphabets, each method in its own
way: by prototypes with frozen batch norm (protonet, nca, supervised), or after its own inner loop (batch norm frozen for
the ANIL family, by the support set's statistics for the others; no query's prediction depends on another query). `transfer`
is the baseline for meta-learning: the supervised encoder with a new last layer, fitted to the support set.

Intervals are 95 % over seeds, by Student's t, or over episodes where that is wider. FILE keeps the figures of each seed,
and a run goes on from them, so that a long table can be made in pieces.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from scipy.stats import t

from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import ANIL, MAML, NCA, Method, ProtoNet, Reptile, Supervised, conv4

EPISODES = 600
WAY, SHOT, QUERY = 5, 1, 15


@dataclass(frozen=True)
class Row:
    """A method, the episodes that it trains on, and its paper's accuracy on Omniglot with the paper's budget."""

    make: Callable[[keras.Model, int], Method]
    way: int = WAY
    query: int = QUERY
    tasks: int = 4
    learning_rate: float = 1e-3
    paper: str = "–"

    @property
    def images(self) -> int:
        """Images in one step of the outer loop."""
        return self.tasks * self.way * (SHOT + self.query)


ROWS = {
    "protonet": Row(
        lambda encoder, classes: ProtoNet(encoder), 100, 2, 1, 3e-3, "98.8 / 99.7, until validation stalls (Snell 2017)"
    ),
    "nca": Row(lambda encoder, classes: NCA(encoder), 100, 2, 1, 3e-3),
    "maml": Row(
        lambda encoder, classes: MAML(encoder, learning_rate=0.4, steps=1),
        paper="98.7 / 99.9, 60,000 steps of 32 tasks, transductive (Finn 2017)",
    ),
    "fomaml": Row(
        lambda encoder, classes: MAML(encoder, learning_rate=0.1, first_order=True),
        paper="98.3 / 99.2, transductive (Nichol 2018)",
    ),
    "protomaml": Row(lambda encoder, classes: MAML(encoder, way=None, learning_rate=0.01, steps=3, learn_rates=True)),
    "anil": Row(lambda encoder, classes: ANIL(encoder), paper="20-way: 96.2 / 98.0 (Raghu 2020)"),
    "protoanil": Row(lambda encoder, classes: ANIL(encoder, way=None, learning_rate=0.01, learn_rates=True)),
    "reptile": Row(
        lambda encoder, classes: Reptile(encoder, learning_rate=0.01),
        paper="95.4 / 98.9, 100,000 steps of 5 tasks (Nichol 2018)",
    ),
    "supervised": Row(lambda encoder, classes: Supervised(encoder, classes=classes), 100, 2, 1, 3e-3),
}


def train(row: Row, data: Dataset, images: int, seed: int) -> Method:
    keras.utils.set_random_seed(seed)
    learner = row.make(conv4(), len(data.class_names))
    steps = images // row.images
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(row.learning_rate, steps)))
    learner.fit(EpisodeSampler(data, row.way, SHOT, row.query, seed), steps * row.tasks, tasks=row.tasks)
    return learner


def transfer(supervised: Method) -> Method:
    """Give the supervised encoder a new last layer: ANIL's inner loop, from a start at zero that was never trained."""
    return ANIL(supervised.encoder, steps=100, learning_rate=0.1)


@click.command()
@click.option("--images", default=100_000, show_default=True, help="Training images for each run.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="methods.json", show_default=True)
def main(images: int, seeds: int, output: Path) -> None:
    """Train and evaluate every method, and print the table in Markdown."""
    kept: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {"images": images, "runs": {}}
    if kept["images"] != images:
        raise click.UsageError(f"{output} is of {kept['images']} images; choose another --output.")
    training, test = load_dataset("omniglot", "train").with_rotations(), load_dataset("omniglot", "test")
    for seed in range(seeds):
        for name, row in ROWS.items():
            if f"{name} {seed}" in kept["runs"]:
                continue
            began = time.perf_counter()
            learner = train(row, training, images, seed)
            seconds = time.perf_counter() - began
            judged = {name: learner} | ({"transfer": transfer(learner)} if name == "supervised" else {})
            for key, each in judged.items():
                found = [each.evaluate(EpisodeSampler(test, WAY, shot, QUERY, seed), EPISODES) for shot in (1, 5)]
                kept["runs"][f"{key} {seed}"] = [[shots.mean, shots.ci95] for shots in found]
                click.echo(f"{key}, seed {seed}: {found[0]} and {found[1]}, {seconds:.0f} s of training", err=True)
            output.write_text(json.dumps(kept, indent=1) + "\n")
    click.echo(
        f"{images:,} images a run, {seeds} seeds\n\n| method | 1 shot | 5 shots | its paper |\n| --- | --- | --- | --- |"
    )
    for name in (*ROWS, "transfer"):
        runs = [kept["runs"][f"{name} {seed}"] for seed in range(seeds)]
        cells = " | ".join(cell([run[shots] for run in runs]) for shots in (0, 1))
        click.echo(f"| {name} | {cells} | {ROWS[name].paper if name in ROWS else '–'} |")


def cell(runs: list[list[float]]) -> str:
    """Return the mean and interval over seeds, in %."""
    means = [run[0] for run in runs]
    of_episodes = fmean(run[1] for run in runs) / len(runs) ** 0.5
    of_seeds = t.ppf(0.975, len(runs) - 1) * stdev(means) / len(runs) ** 0.5 if len(runs) > 1 else 0.0
    return f"{100 * fmean(means):.2f} ± {100 * max(of_episodes, of_seeds):.2f}"


if __name__ == "__main__":
    main()
