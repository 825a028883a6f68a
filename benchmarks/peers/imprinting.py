"""Compare enrolling with weight imprinting and nearest neighbours, on the same embeddings, on one thread.

    python benchmarks/peers/imprinting.py [BUNDLE] [--json]

Print times and accuracies. The peers are written here after their makers' descriptions, since they do not run on this
platform. So they have no version, and call no interpreter but the encoder's. Imprinting (Qi et al. 2018, as Coral's
ImprintingEngine does it): a class's weights are the normalized sum of its normalized embeddings, and the largest product of
weights and normalized embedding wins; saving writes the whole model file with the weights in it. Neighbours (as
TensorFlow.js's KNN classifier): the majority among the 3 examples of the largest cosine, saved as arrays.

All enroll ten evaluation classes of Omniglot, 20 images each, in turn. Figures are medians of rounds, and the range of the
ratios over them. A ratio is how many times as long the peer takes:

`saved_each`: from images until all classes are on the disk (synced). Each class is saved before the next one begins, as
`Classifier.enroll` does, into a store that has a class already; `saved_each_new` makes the store, too. `saved_once`: the
peers save only after the last class, and lose everything if they are stopped before. In `enroll_ms`, `embedding` is the
part that all have in common. `classify`: one image, embedding included; ours also ranks, scores, rejects the unknown, and
sees what other processes have enrolled.

`accuracy`, in percent: 10 ways, 10 shots, 10 queries (an Omniglot class has 20 images), over episodes, with paired `gain`
and its 95 % interval.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import ONE_THREAD, Work, options, ratio, round_medians, show

os.environ.update(ONE_THREAD)

import numpy as np

from edge_meta import Classifier
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.types import Array, Integers

CLASSES, IMAGES, K = 10, 20, 3
ROUNDS, CALLS, EPISODES = 15, 100, 300


def normalized(embeddings: Array) -> Array:
    unit: Array = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return unit


class Imprinting:
    """Weights of classes 0, 1, ..., from sums of normalized embeddings."""

    def __init__(self, model: bytes, dim: int) -> None:
        self._model, self._sums, self._weights = model, np.zeros((0, dim), np.float32), np.zeros((0, dim), np.float32)

    def enroll(self, embeddings: Array) -> None:
        """Add a class with shots (n, D)."""
        self._sums = np.concatenate([self._sums, normalized(embeddings).sum(axis=0, keepdims=True)])
        self._weights = normalized(self._sums)

    def classify(self, embeddings: Array) -> Integers:
        """Return the classes (n,) of embeddings (n, D)."""
        classes: Integers = (normalized(embeddings) @ self._weights.T).argmax(axis=1)
        return classes

    def content(self) -> bytes:
        return self._model + self._weights.tobytes()


class Neighbours:
    """All normalized embeddings, and their classes."""

    def __init__(self, dim: int) -> None:
        self._shots, self._labels, self._classes = np.zeros((0, dim), np.float32), np.zeros(0, np.int64), 0

    def enroll(self, embeddings: Array) -> None:
        """Add a class with shots (n, D)."""
        self._shots = np.concatenate([self._shots, normalized(embeddings)])
        self._labels = np.concatenate([self._labels, np.full(len(embeddings), self._classes)])
        self._classes += 1

    def classify(self, embeddings: Array) -> Integers:
        """Return the classes (n,) of embeddings (n, D)."""
        cosines = normalized(embeddings) @ self._shots.T
        nearest = self._labels[np.argpartition(-cosines, K - 1, axis=1)[:, :K]]
        classes: Integers = (nearest[:, :, None] == np.arange(self._classes)).sum(axis=1).argmax(axis=1)
        return classes

    def content(self) -> bytes:
        return self._shots.tobytes() + self._labels.tobytes()


def save(content: bytes, file: Path) -> None:
    """Write a file so that a power cut leaves the old one or the new one."""
    beside = file.with_suffix(".new")
    with beside.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def embed_and_classify(peer: Any, embedder: Classifier, image: Any) -> Integers:
    classes: Integers = peer.classify(embedder.embed(image)[None])
    return classes


def times(bundle: Bundle, images: Any, folder: Path) -> dict[str, Any]:
    """Time enrolling images (classes, n, H, W, C), and classifying one of them."""
    with Classifier.load(bundle, folder / "begun.db") as embedder:
        embedder.enroll("before", images[0, :1])
    begun_stores = [Path(shutil.copy(folder / "begun.db", folder / f"begun {number}.db")) for number in range(ROUNDS)]
    new_stores = [folder / f"new {number}.db" for number in range(ROUNDS)]
    with Classifier.load(bundle, folder / "embed.db") as embedder:

        def embedded(shots: Any) -> Array:
            return np.stack([embedder.embed(image) for image in shots])

        def ours(stores: list[Path]) -> None:
            with Classifier(bundle, embedder.encoder, bundle.open_store(stores.pop())) as classifier:
                for label, shots in enumerate(images):
                    classifier.enroll(str(label), shots)

        def peer(make: Callable[[], Any], each: bool) -> Any:
            made = make()
            for shots in images:
                made.enroll(embedded(shots))
                if each:
                    save(made.content(), folder / "peer")
            if not each:
                save(made.content(), folder / "peer")
            return made

        peers = {
            "imprinting": lambda: Imprinting(bundle.model, bundle.manifest.dim),
            "neighbours": lambda: Neighbours(bundle.manifest.dim),
        }
        saved: dict[str, Work] = {
            f"{name}_{when}": partial(peer, make, when == "each")
            for name, make in peers.items()
            for when in ("each", "once")
        }
        stored: dict[str, Work] = {"ours": partial(ours, begun_stores), "ours_new": partial(ours, new_stores)}
        embedding: dict[str, Work] = {"embedding": lambda: [embedded(shots) for shots in images]}
        enrolled = round_medians(stored | embedding | saved, ROUNDS)

        image = images[0, 0]
        with Classifier.load(bundle, folder / "new 0.db") as classifier:
            works: dict[str, Work] = {"ours": partial(classifier.classify, image)}
            for name, make in peers.items():
                works[name] = partial(embed_and_classify, peer(make, False), embedder, image)
            classified = round_medians(works, ROUNDS, CALLS)
    compared = {"saved_each": ("ours", "each"), "saved_each_new": ("ours_new", "each"), "saved_once": ("ours", "once")}
    table = {
        row: {name: ratio(enrolled[mine], enrolled[f"{name}_{when}"]) for name in peers}
        for row, (mine, when) in compared.items()
    }
    return {
        "enroll_ms": {name: round(1e3 * float(np.median(each)), 2) for name, each in enrolled.items()},
        **table,
        "classify_us": {name: round(1e6 * float(np.median(each)), 1) for name, each in classified.items()},
        "classify": {name: ratio(classified["ours"], classified[name]) for name in peers},
    }


def evaluated(embeddings: Array, sampler: EpisodeSampler, bundle: Bundle) -> dict[str, Any]:
    """Return all accuracies, and our gain over each peer."""

    def peer(made: Any, support: Array, query: Array) -> Any:
        for shots in support:
            made.enroll(shots)
        return made.classify(query.reshape(-1, query.shape[-1]))

    truth = np.repeat(np.arange(sampler.way), sampler.query)

    def accuracies() -> Iterator[list[float]]:
        for episode in sampler.episodes(EPISODES):
            support, query = embeddings[episode.support], embeddings[episode.query]
            found = (
                prototype_head(support, query).argmax(axis=1),
                peer(Imprinting(b"", bundle.manifest.dim), support, query),
                peer(Neighbours(bundle.manifest.dim), support, query),
            )
            yield [100 * float(np.mean(each == truth)) for each in found]

    ours, *others = np.array(list(accuracies())).T
    table: dict[str, Any] = {"ours": round(float(ours.mean()), 2)}
    for name, theirs in zip(("imprinting", "neighbours"), others, strict=True):
        gain = Interval.of(ours - theirs)
        table[name] = {"accuracy": round(float(theirs.mean()), 2), "gain": round(gain.mean, 2), "ci95": round(gain.ci95, 2)}
    return table


def main() -> None:
    given = options(__doc__, peers=False, extra="bundle")
    bundle = Bundle.open(given.bundle or "omniglot")
    data = load_dataset("omniglot", "test", bundle.manifest.input_spec)
    images = data.examples[: CLASSES * IMAGES].reshape(CLASSES, IMAGES, *data.examples.shape[1:])
    embeddings = embed_all(open_encoder(bundle), bundle.manifest.input_spec, data.examples)
    with tempfile.TemporaryDirectory() as folder:
        result = times(bundle, images, Path(folder))
    accuracy = evaluated(embeddings, EpisodeSampler(data, CLASSES, IMAGES // 2, IMAGES // 2), bundle)
    show({"classes": CLASSES, "images": IMAGES, **result, "accuracy": accuracy}, given.json)


if __name__ == "__main__":
    main()
