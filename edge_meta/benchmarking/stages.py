"""Stages that are timed in this process: those of one classification, scoring by number of classes, and teaching."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.benchmarking import timing
from edge_meta.benchmarking.timing import StageTiming
from edge_meta.blas import Limited
from edge_meta.heads import linear
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import read_image
from edge_meta.inputs.png import write_png
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier
from edge_meta.store.store import Store
from edge_meta.types import Array

CLASSES = 20
SHOTS = 5
CLASS_COUNTS = (5, 20, 100, 1_000, 10_000)
ADAPTATIONS = 20

# In order; `total` is preprocess, embed and score together.
STAGES = ("decode", "resize", "preprocess", "embed", "score", "total", "enroll", "adapt_step", "adapt")
BARE = "bare"  # the interpreter's invoke alone, timed beside the stages


@dataclass
class Subject:
    """A bundle that is timed, with its synthetic classes.

    Attributes:
        store: file that the classes are enrolled in.
        images: (N, M, ...), random examples of the encoder's input, at its size.
        timed: stage → seconds of each call, by round.
    """

    bundle: Bundle
    classifier: Classifier
    images: NDArray[Any]
    store: Path
    timed: dict[str, list[list[float]]]

    @classmethod
    def load(cls, bundle: Bundle, store: Path, options: RuntimeOptions, shots: int = SHOTS) -> Subject:
        """Load a bundle, with `shots` images of each class.

        Raises:
            BundleError, BackendError, StoreError: see `Classifier.load`.
        """
        input_spec = bundle.manifest.input_spec
        images = input_spec.synthetic(np.random.default_rng(0), CLASSES * shots).reshape(CLASSES, shots, *input_spec.shape)
        unseeded = replace(bundle, seed=None)  # which would add its classes to ours
        return cls(bundle, Classifier.load(unseeded, store, **vars(options)), images, store, {})

    def enroll(self) -> None:
        """Time the stage `enroll`: enroll the images one by one, each until it is on the disk."""
        self.timed["enroll"] = [
            [
                timing.seconds(partial(self.classifier.enroll, f"class {label}", image[None]))
                for label, shots in enumerate(self.images)
                for image in shots
            ]
        ]

    def works(self) -> dict[str, timing.Work]:
        """Return the stages that can be timed in turn with other subjects': `classification` and `teaching`."""
        return {**classification(self.classifier, self.images[0, 0]), **teaching(self.classifier)}

    def adapt(self, runs: int, limit: float) -> None:
        """Time the stage `adapt`: adapt as the bundle says, until the head is on the disk. Leaves the store as it was.

        Args:
            limit: seconds after which no further run begins.
        """
        taken: list[float] = []
        while len(taken) < runs and sum(taken) < limit:
            taken.append(timing.seconds(self.classifier.adapt))
            self.classifier.undo()
        self.timed["adapt"] = [taken]


def classification(classifier: Classifier, image: NDArray[Any]) -> dict[str, timing.Work]:
    """Return the stages of one classification, each with the result of the stage before.

    Returns:
        If the encoder takes images: `decode`, a PNG file in memory at the encoder's size, if Pillow is there; `resize`, an
        image of twice its height and width. For all encoders: `preprocess`, checks and normalization of an example at its
        size; `embed`: set_tensor, invoke, get_tensor; `bare`, the same interpreter's invoke alone; `score`: head, softmax,
        ranking, rejection; `total`, a whole `Classifier.classify` of an example at the encoder's size.
    """
    input_spec, encoder = classifier.bundle.manifest.input_spec, classifier.encoder
    read = Limited(encoder.options.threads)(input_spec.read)
    normalized = input_spec.normalize(image)[None]
    embedding = encoder.embed(normalized)
    works: dict[str, timing.Work] = {
        "preprocess": lambda: input_spec.normalize(read(image))[None],
        "embed": lambda: encoder.embed(normalized),
        BARE: encoder.interpreter.invoke,
        "score": lambda: classifier.classify_embedding(embedding),
        "total": lambda: classifier.classify(image),
    }
    if isinstance(input_spec, ImageInput):
        file, large, channels = write_png(image), image.repeat(2, axis=0).repeat(2, axis=1), input_spec.channels
        works["resize"] = lambda: read(large)
        if has_pillow():
            works["decode"] = lambda: read_image(file, channels)
    return works


def has_pillow() -> bool:
    """Tell whether Pillow, which decodes image files, is installed."""
    return importlib.util.find_spec("PIL") is not None


def score_by_classes(
    classifier: Classifier, folder: Path, runs: int, limit: float, class_counts: Sequence[int] = CLASS_COUNTS
) -> dict[int, StageTiming]:
    """Time the stage `score` with other numbers of classes, of one synthetic shot each, in stores of their own.

    Args:
        folder: for the stores.
        runs, limit: for each number of classes, as in `timing.in_turn`.
    """
    bundle, embedding = classifier.bundle, random_embeddings(classifier.bundle.manifest.dim)
    samplers: dict[int, timing.Sampler] = {}
    with ExitStack() as opened:
        for classes in class_counts:
            store = opened.enter_context(bundle.open_store(folder / f"{classes}.db"))
            fill(store, random_embeddings(classes, 1, bundle.manifest.dim))
            scorer = Classifier(bundle, classifier.encoder, store)
            samplers[classes] = timing.sampler(partial(scorer.classify_embedding, embedding))
        timings = timing.in_turn(samplers, runs, warmup=3, limit=limit)
    return {classes: StageTiming.of(rounds) for classes, rounds in timings.items()}


def random_embeddings(*shape: int) -> Array:
    """Return random vectors of about unit length.

    Longer ones would be so far apart that probabilities underflow to subnormal numbers, which are many times as slow.
    """
    random = np.random.default_rng(shape).normal(scale=shape[-1] ** -0.5, size=shape)
    return random.astype(np.float32)


def fill(store: Store, embeddings: Array) -> None:
    """Enroll synthetic classes (N, M, D) without waiting for the disk, which is not part of what is timed then."""
    for label, shots in enumerate(embeddings):
        store.enroll(f"class {label}", shots)
        if label == 0:  # which has made the file
            store.database.query("PRAGMA synchronous = OFF")


def teaching(classifier: Classifier) -> dict[str, timing.Work]:
    """Return the stage `adapt_step`: one gradient step over all enrolled shots."""
    with classifier.store.adapting() as enrolled:
        embeddings, labels = enrolled.embeddings, enrolled.labels
        weights, bias = linear.linear_from_prototypes(enrolled.snapshot.prototypes)
    step = Limited(classifier.encoder.options.threads)(linear.linear_step)
    return {"adapt_step": lambda: step(embeddings, labels, weights, bias, 1e-3)}
