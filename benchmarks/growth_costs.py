"""The costs whose growth growth.py measures: a sampler for each, and the points that it is timed at."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_meta import Classifier
from edge_meta.benchmarking import timing
from edge_meta.benchmarking.stages import fill, random_embeddings
from edge_meta.heads import linear
from edge_meta.inputs.resizing import resize
from edge_meta.runtime.backends import DEFAULT
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.store.store import Store
from edge_meta.types import Array

DIM, SHOTS = 128, 5


def between(first: int, last: int, count: int = 12) -> tuple[int, ...]:
    """Return whole numbers at equal ratios."""
    return tuple(dict.fromkeys(np.geomspace(first, last, count).round().astype(int).tolist()))


CLASSES = between(10, 10_000)
LABEL_SHOTS = between(4, 4_000)
EACH_SHOTS = between(4, 500)
DIMS = between(16, 2_048)
ADAPTED_CLASSES = between(5, 300)
SIDES = between(40, 1_800)
ENCODED_SIDES = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192)


@dataclass(frozen=True)
class Growth:
    """A cost by one variable.

    Attributes:
        prepare: makes the sampler that times it at one of the points, with a workbench's help.
        why: the reason why it grows faster than in proportion, if it does.
    """

    cost: str
    by: str
    points: Sequence[int]
    prepare: Callable[[Workbench, int], timing.Sampler]
    why: str = ""


cpu_time = partial(timing.sampler, clock=time.process_time)


class InstantEncoder(Encoder):
    """An encoder of any dimension that takes no time: it has one embedding for all images."""

    def __init__(self, dim: int) -> None:
        self.options, self.dim, self.embedding = DEFAULT, dim, random_embeddings(dim)

    def embed(self, example: Any) -> Array:
        return self.embedding


@dataclass
class Workbench:
    """Makes stores and classifiers of any size in a folder, and closes them."""

    folder: Path
    bundle: Bundle
    opened: ExitStack
    made: dict[tuple[int, ...], Path] = field(default_factory=dict)

    def store(self, dim: int, classes: int, shots: int) -> Path:
        """Return a store's file that nobody else uses."""
        key = (dim, classes, shots)
        if key not in self.made:
            path = self.folder / f"made-{len(self.made)}.db"
            with Store(path, self.bundle.manifest.encoder_id, dim) as store:
                fill(store, random_embeddings(classes, shots, dim))
            self.made[key] = path
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / "store.db"
        return Path(shutil.copy(self.made[key], copy))

    def classifier(self, dim: int, classes: int, shots: int) -> Classifier:
        bundle = replace(self.bundle, manifest=replace(self.bundle.manifest, dim=dim), seed=None)
        classifier = Classifier(bundle, InstantEncoder(dim), bundle.open_store(self.store(dim, classes, shots)))
        return self.opened.enter_context(classifier)

    def score(self, dim: int, classes: int) -> timing.Sampler:
        classifier = self.classifier(dim, classes, 1)
        return cpu_time(partial(classifier.classify_embedding, random_embeddings(dim)))

    def enroll(self, dim: int, classes: int, shots: int) -> timing.Sampler:
        """Time enrolling one more shot of a label; undo it untimed."""
        classifier = self.classifier(dim, classes, shots)
        image = np.zeros((1, *self.bundle.manifest.input_spec.shape), np.uint8)

        def sample(times: int) -> list[float]:
            taken = []
            for _ in range(times):
                taken.append(timing.seconds(partial(classifier.enroll, "class 0", image)))
                classifier.undo()
            return taken

        return sample

    def open(self, classes: int, shots: int) -> timing.Sampler:
        """Time reading all prototypes from the file."""
        path = self.store(DIM, classes, shots)

        def work() -> None:
            with Store(path, self.bundle.manifest.encoder_id, DIM) as store:
                store.snapshot()

        return cpu_time(work)


def adapt_step(dim: int, classes: int, shots: int) -> timing.Sampler:
    vectors = random_embeddings(classes * shots, dim)
    labels = np.repeat(np.arange(classes), shots)
    weights, bias = linear.linear_from_prototypes(vectors[::shots])
    return cpu_time(lambda: linear.linear_step(vectors, labels, weights, bias, 1e-6))


def resized(side: int) -> timing.Sampler:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 1), np.uint8)
    return cpu_time(lambda: resize(image, 28, 28))


def encoded(side: int) -> timing.Sampler:
    """Time a Conv4 of 16 filters with random weights, since its speed does not depend on them."""
    from converters.quantization.convert import convert
    from edge_meta.runtime.interpreter import Encoder
    from edge_meta.training.encoder_copies import for_device
    from edge_meta.training.encoders import conv4

    encoder = Encoder(convert(for_device(conv4((side, side, 1), 16)), "float32", None, 4, 4))
    image = np.random.default_rng(0).random((1, side, side, 1), np.float32)
    return cpu_time(lambda: encoder.embed(image))


MEMORY = (
    "The work is in proportion. Memory is not: beyond some size, what is read and computed no longer fits into the CPU's "
    "caches."
)
EVERY = (
    "Each step sets all shots against all classes. With a number of shots for each class both grow with the classes, so "
    "that it is in proportion to their square; by shots alone it is in proportion."
)
GROWTHS = (
    Growth("score", "classes", CLASSES, lambda bench, n: bench.score(DIM, n), MEMORY),
    Growth("score", "dimensions", DIMS, lambda bench, n: bench.score(n, 1000), MEMORY),
    Growth("enroll", "classes", CLASSES, lambda bench, n: bench.enroll(DIM, n, 1)),
    Growth("enroll", "shots of the label", LABEL_SHOTS, lambda bench, n: bench.enroll(DIM, 2, n)),
    Growth("enroll", "dimensions", DIMS, lambda bench, n: bench.enroll(n, 20, SHOTS)),
    Growth("adapt step", "classes", ADAPTED_CLASSES, lambda bench, n: adapt_step(DIM, n, SHOTS), EVERY),
    Growth("adapt step", "shots of each label", EACH_SHOTS, lambda bench, n: adapt_step(DIM, 20, n), MEMORY),
    Growth("adapt step", "dimensions", DIMS, lambda bench, n: adapt_step(n, 20, SHOTS)),
    Growth("open a store", "classes", CLASSES, lambda bench, n: bench.open(n, 1), MEMORY),
    Growth("open a store", "shots of each label", EACH_SHOTS, lambda bench, n: bench.open(20, n)),
    Growth("resize", "pixels", [side**2 for side in SIDES], lambda bench, n: resized(round(n**0.5)), MEMORY),
    Growth("embed", "pixels", [side**2 for side in ENCODED_SIDES], lambda bench, n: encoded(round(n**0.5)), MEMORY),
)
