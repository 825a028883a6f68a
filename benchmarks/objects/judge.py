"""Judge bundles of photos on classes that the `objects` encoder was not trained or calibrated on.

    python benchmarks/objects/judge.py objects [BUNDLE...]

The classes are the test classes of Caltech-101 and of the Grocery Store Dataset, as `collect.py` deals them out; photos have
the size that they have in the archives. It prints 5-way accuracies with 95 % intervals, and for some classes the shares of
strangers, of the dataset's other classes, that count as known, and of known queries that do not: with the limits as
calibrated, as corrected by the store's own shots, and with ten examples of none, which are of other classes than the
strangers. Of groceries there are eight classes in a split, too few for eight labels and strangers: with `--split test` they
are judged on those of both splits. Each bundle runs through the device's runtime.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import click
import numpy as np
from collect import SOURCES, photos_of

from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.open_set import judge_strangers
from edge_meta.heads.rejection import Rejection
from edge_meta.inputs import InputSpec
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder, open_encoder
from edge_meta.types import Array

FALSE_ACCEPT = 0.05
SETS = ("caltech", "groceries")
SPLITS = ("val", "test")  # choose by the first, report the second


class Protocol(NamedTuple):
    """Classes in an episode, episodes for accuracies and for strangers, queries of each class, and examples of none."""

    way: int = 5
    episodes: int = 2000
    open_episodes: int = 500
    queries: int = 10
    none: int = 10


def photos(name: str, split: str, input_spec: InputSpec) -> Dataset:
    """The photos of one source's split, as an encoder takes them."""
    read = [(label, input_spec.read(pixels)) for label, pixels in photos_of(SOURCES[name], split)]
    names = sorted({label for label, _ in read})
    read.sort(key=lambda each: each[0])
    labels = np.array([names.index(label) for label, _ in read], np.int32)
    return Dataset(name, split, np.stack([pixels for _, pixels in read]), labels, tuple(names), ("",) * len(names))


def judge(bundle: Bundle, split: str, protocol: Protocol) -> Iterator[dict[str, Any]]:
    """The rows of one bundle."""
    encoder = open_encoder(bundle, RuntimeOptions())
    for name in SETS:
        data = photos(name, split, bundle.manifest.input_spec)
        embeddings = embed_all(encoder, bundle.manifest.input_spec, data.examples)
        for shot in (1, 5):
            sampler = EpisodeSampler(data, protocol.way, shot, protocol.queries, seed=0)
            interval = Interval.of(accuracies(embeddings, sampler, protocol.episodes))
            yield {"classes": name, "way": protocol.way, "shot": shot, "accuracy": interval.mean, "ci95": interval.ci95}
        rejection = bundle.manifest.rejection
        if rejection is None:
            continue
        if name == "groceries" and split == "test":  # too few classes in one split for eight labels and strangers
            data, embeddings = both_splits(name, bundle, encoder)
        yield from unknown_rows(name, data, embeddings, rejection, protocol)


def both_splits(name: str, bundle: Bundle, encoder: Encoder) -> tuple[Dataset, Array]:
    """The validation and test classes of a source together, and their embeddings."""
    input_spec = bundle.manifest.input_spec
    parts = [photos(name, split, input_spec) for split in SPLITS]
    labels = np.concatenate([parts[0].labels, parts[1].labels + len(parts[0].class_names)])
    names = parts[0].class_names + parts[1].class_names
    examples = np.concatenate([part.examples for part in parts])
    data = Dataset(name, "val and test", examples, labels, names, ("",) * len(names))
    return data, embed_all(encoder, input_spec, examples)


def unknown_rows(
    name: str, data: Dataset, embeddings: Array, rejection: Rejection, protocol: Protocol
) -> Iterator[dict[str, Any]]:
    """The rows of strangers: with limits as calibrated, as corrected by the store, and with examples of none as well."""
    for way, shot in ((2, 3), (4, 3), (4, 5), (8, 5)):
        if way > len(data.class_names) // 2:  # too few strangers
            continue
        sampler = EpisodeSampler(data, way, shot, protocol.queries, seed=0)
        alone = replace(rejection, prior_labels=None)
        for used, none in ((alone, 0), (rejection, 0), (rejection, protocol.none)):
            found = judge_strangers(
                embeddings, sampler, protocol.open_episodes, prototype_head, used, FALSE_ACCEPT, none=none
            )
            yield {
                "classes": name, "way": way, "shot": shot, "corrected": used.prior_labels is not None, "none": none,
                "accepted": found.false_accept.mean, "accepted_ci95": found.false_accept.ci95,
                "lost": found.rejected_known.mean, "lost_ci95": found.rejected_known.ci95,
            }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    start = f"{row['classes']:10} {row['way']}-way {row['shot']}-shot  "
    if "accuracy" in row:
        return f"{start}{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} % right"
    limits = "corrected by the store" if row["corrected"] else "as calibrated"
    limits += f", {row['none']} of none shown" * bool(row["none"])
    return f"{start}{100 * row['accepted']:.0f} % of strangers known, {100 * row['lost']:.0f} % of known lost ({limits})"


@click.command()
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--split", default="test", show_default=True, type=click.Choice(SPLITS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each row.")
def main(bundles: tuple[str, ...], split: str, as_json: bool) -> None:
    """Judge each BUNDLE."""
    for path in bundles:
        bundle = Bundle.open(path)
        size = len(bundle.model)
        if not as_json:
            print(f"{bundle.name}: {size:,} bytes")
        for row in judge(bundle, split, Protocol()):
            print(
                json.dumps({"bundle": bundle.name, "bytes": size, "split": split} | row) if as_json else line(row),
                flush=True,
            )


if __name__ == "__main__":
    main()
