"""edge-meta compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

from edge_meta.choices import SPLITS_AND_ALL
from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note
from edge_meta.datasets import names
from edge_meta.errors import DatasetError, InputError

if TYPE_CHECKING:
    from edge_meta.datasets import Dataset
    from edge_meta.types import Array64


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--dataset", metavar="D", help=f"{names.NAMES}.  [default: that of the first run]")
@click.option(
    "--split", default="val", show_default=True, type=click.Choice(SPLITS_AND_ALL),
    help="Classes to draw from. Choose by val, and judge the choice by test.",
)  # fmt: skip
@click.option("--way", type=int, help="Classes in an episode.  [default: 20, or all]")
@click.option("--shot", default=1, show_default=True, help="Support examples of each class.")
@click.option("--query", type=int, help="Query examples of each class.  [default: 15, or all that are left]")
@click.option("--episodes", default=1000, show_default=True, help="Episodes to draw.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw.")
@json_option
def compare(
    runs: tuple[str, ...],
    dataset: str | None,
    split: str,
    way: int | None,
    shot: int,
    query: int | None,
    episodes: int,
    seed: int,
    as_json: bool,
) -> None:
    """Judge the encoders of several runs, or bundles, on the same episodes, each against the first.

    \b
    Examples:
      edge-meta compare runs/protonet runs/nca
      edge-meta compare runs/photos photos.bundle --dataset folder:photos    # float against int8
      edge-meta compare runs/a runs/b runs/c --split test --shot 5

    A difference is the mean over episodes of accuracy minus that of the first, in points. Its 95 % interval is of these
    paired differences, so that it is narrower than those of the accuracies. Prototypes classify, without rejection.
    """
    from edge_meta.cli.compared_encoders import asked_of, embed_by
    from edge_meta.datasets.episodes import EpisodeSampler
    from edge_meta.evaluation.accuracy import accuracies
    from edge_meta.evaluation.interval import Interval

    if len(runs) < 2:
        raise click.UsageError("compare takes two runs or more.")
    if episodes < 2:
        raise InputError(f"{episodes} episodes give no interval.", "Use 2 or more; 1000 is usual.")
    asked = asked_of(runs[0])
    dataset = dataset or asked.get("dataset")
    if dataset is None:
        raise InputError(f"{runs[0]} is no run, whose data would be known.", "Name the data with --dataset.")
    held_back = split == "val" and asked.get("split") == "all" and asked["dataset"] == dataset
    data: list[Dataset] = []
    values: list[Array64] = []
    for run in runs:
        note(f"Embedding {dataset} by {run}")
        loaded, embeddings = embed_by(run, dataset, split, held_back)
        data.append(loaded)
        _require_same(data)
        usual = loaded.protocol(shot)
        sampler = EpisodeSampler(loaded, way or usual[0], shot, query or usual[2], seed)
        values.append(accuracies(embeddings, sampler, episodes))
    own = [Interval.of(each) for each in values]
    paired = [Interval.of(each - values[0]) for each in values]
    rows = [
        {"run": run, "accuracy": one.mean, "ci95": one.ci95, "difference": other.mean, "difference_ci95": other.ci95}
        for run, one, other in zip(runs, own, paired, strict=True)
    ]
    result = {
        "dataset": dataset, "split": split, "way": sampler.way, "shot": sampler.shot, "query": sampler.query,
        "episodes": episodes, "seed": seed, "runs": rows,
    }  # fmt: skip
    drawn = f"{sampler.way}-way {sampler.shot}-shot, {sampler.query} queries, {episodes} episodes"
    lines = [f"{drawn}, {split} classes of {dataset}, seed {seed}"]
    width = max(map(len, runs))
    for run, one, other in zip(runs, own, paired, strict=True):
        against = "" if run == runs[0] else f"  {100 * other.mean:+.2f} ± {100 * other.ci95:.2f} points"
        lines.append(f"{run:<{width}}  {one}{against}")
    emit(result, as_json, lines)


def _require_same(data: Sequence[Dataset]) -> None:
    """Raise DatasetError unless the last dataset has the same examples as the first, so that episodes are the same."""
    if data[-1].class_names != data[0].class_names or not np.array_equal(data[-1].labels, data[0].labels):
        raise DatasetError(
            f"{data[0].name} gives other examples to this encoder than to the first.",
            "Compare encoders of one kind of input.",
        )
