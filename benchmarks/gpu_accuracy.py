"""Judge the shipped bundles on what they were not trained on, by a GPU and by the interpreter, on the same episodes.

    PYTHONPATH=benchmarks:benchmarks/objects:benchmarks/keywords:benchmarks/gestures \\
        python benchmarks/gpu_accuracy.py [BUNDLE...] [--classes N] [--each 20] [--json]

Test classes are Omniglot's evaluation alphabets; of Caltech-101 and of the Grocery Store Dataset those that `objects` holds
back; Arabic Speech Commands' words and speakers that `keywords` holds back; and digits that `gestures` holds back, of one
person in a session. Each example is embedded once by each. The differences are of the same episodes, with 95 % intervals. It
takes the GPU that LiteRT finds; one that is a program, such as SwiftShader, gives the same accuracy as hardware that rounds
alike, and its speed means nothing. Needs `pip install "edge-meta[audio]"`, and the archives in the data folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any, NamedTuple

import click
import numpy as np
from collect_words import real
from judge import photos
from sessions import HELD_BACK, held_back, session

from edge_meta.datasets import load_dataset
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs import InputSpec
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle, shipped
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.types import Array, Array64

EPISODES, WAY, QUERY, SHOTS = 2000, 5, 10, (1, 5)
SESSIONS = 20


class Most(NamedTuple):
    """Classes of a test set, and examples of each, at most."""

    classes: int | None
    each: int


def dataset(name: str, examples: Iterable[Any], labels: Iterable[str], most: Most) -> Dataset:
    """A test split of the first labels by name, and of each label's first examples."""
    by_label: dict[str, list[Any]] = {}
    for label, example in zip(labels, examples, strict=True):
        by_label.setdefault(label, []).append(example)
    kept = {label: by_label[label][: most.each] for label in sorted(by_label)[: most.classes]}
    which = np.repeat(np.arange(len(kept), dtype=np.int32), [len(of_label) for of_label in kept.values()])
    stacked = np.concatenate([np.stack(of_label) for of_label in kept.values()])
    return Dataset(name, "test", stacked, which, tuple(kept), ("",) * len(kept))


def letters(spec: InputSpec, most: Most) -> Iterator[Dataset]:
    found = load_dataset("omniglot", "test", spec)
    yield dataset("Omniglot", found.examples, (found.class_names[label] for label in found.labels), most)


def things(spec: InputSpec, most: Most) -> Iterator[Dataset]:
    for name in ("caltech", "groceries"):
        found = photos(name, "test", spec)
        yield dataset(name, found.examples, (found.class_names[label] for label in found.labels), most)


def words(spec: InputSpec, most: Most) -> Iterator[Dataset]:
    spoken = [one for one in takewhile(lambda one: one.word.startswith("arabic/"), real()) if one.split == "test"]
    yield dataset("Arabic words", (spec.read(one.samples) for one in spoken), (one.word for one in spoken), most)


def motions(spec: InputSpec, most: Most) -> Iterator[Dataset]:
    for number in range(SESSIONS):
        generator = np.random.default_rng((7, number))
        paths, digits = held_back(most.each, generator)
        made = session(paths, generator, several=False)
        yield dataset("digits in the air", map(spec.read, made), (str(HELD_BACK[digit]) for digit in digits), most)


TEST_SETS: dict[str, Callable[[InputSpec, Most], Iterator[Dataset]]] = {
    "omniglot": letters, "objects": things, "keywords": words, "gestures": motions,
}  # fmt: skip


def answers(embeddings: Array, sampler: EpisodeSampler, episodes: int) -> Array:
    """The class that each query is taken for, (episodes, queries)."""
    return np.stack([
        prototype_head(embeddings[episode.support], embeddings[episode.query]).argmax(axis=1)
        for episode in sampler.episodes(episodes)
    ])  # fmt: skip


def rows(bundle: Bundle, most: Most) -> Iterator[dict[str, Any]]:
    """Accuracies of one bundle, in percent, one row for each test set and number of shots."""
    spec = bundle.manifest.input_spec
    encoders = [open_encoder(bundle, RuntimeOptions(accelerator=accelerator)) for accelerator in (None, "gpu")]
    found: dict[tuple[str, int], list[tuple[Array64, ...]]] = {}
    sets = list(TEST_SETS[bundle.name](spec, most))
    for data in sets:
        embeddings = [embed_all(encoder, spec, data.examples) for encoder in encoders]
        episodes = EPISODES // sum(one.name == data.name for one in sets)
        for shot in SHOTS:
            sampler = EpisodeSampler(data, WAY, shot, QUERY, seed=0)
            same = answers(embeddings[0], sampler, episodes) == answers(embeddings[1], sampler, episodes)
            right = [100 * accuracies(of_one, sampler, episodes) for of_one in embeddings]
            found.setdefault((data.name, shot), []).append((*right, 100 * same.mean(axis=1)))
    for (name, shot), parts in found.items():
        cpu, gpu, same = (np.concatenate(values) for values in zip(*parts, strict=True))
        difference = Interval.of(gpu - cpu)
        yield {
            "bundle": bundle.name, "classes": name, "way": WAY, "shot": shot, "cpu": cpu.mean(), "gpu": gpu.mean(),
            "difference": difference.mean, "difference_ci95": difference.ci95, "same_answers": same.mean(),
        }  # fmt: skip


@click.command()
@click.argument("bundles", nargs=-1, metavar="BUNDLE...")
@click.option(
    "--classes", type=click.IntRange(min=WAY), metavar="N", help="Classes of each test set at most.  [default: all]"
)
@click.option("--each", default=20, show_default=True, type=click.IntRange(min=QUERY + max(SHOTS)), metavar="N",
              help="Examples of each class at most.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each row.")
def main(bundles: tuple[str, ...], classes: int | None, each: int, as_json: bool) -> None:
    """Judge the shipped BUNDLEs, or all."""
    for name in bundles or shipped():
        for row in rows(Bundle.open(name), Most(classes, each)):
            text = (
                f"{row['bundle']:9} {row['classes']:18} {row['way']}-way {row['shot']}-shot  CPU {row['cpu']:.2f}, "
                f"GPU {row['gpu']:.2f} %: {row['difference']:+.2f} ± {row['difference_ci95']:.2f} points; "
                f"{row['same_answers']:.2f} % of answers are the same"
            )
            print(json.dumps(row) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
