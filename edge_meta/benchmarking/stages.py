"""What is timed in this process: the stages of one classification, scoring by number of classes, and teaching."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.benchmarking import timing
from edge_meta.heads import linear
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import read_image
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier
from edge_meta.store.store import Store

CLASSES = 20
SHOTS = 5
BY_CLASSES = (5, 20, 100, 1_000, 10_000)
ADAPTATIONS = 20

# As they follow each other; `total` is what preprocess, embed and score make up.
ORDER = ("decode", "resize", "preprocess", "embed", "score", "total", "enroll", "adapt_step", "adapt")


@dataclass
class Subject:
    """A bundle that is timed, with its synthetic classes.

    Attributes:
        store: file that the classes are enrolled in.
        images: (N, M, ...), random examples of what the encoder takes, at its size.
        timed: stage → seconds of each call, by round.
    """

    bundle: Bundle
    classifier: Classifier
    images: NDArray[Any]
    store: Path
    timed: dict[str, list[list[float]]]

    @classmethod
    def load(cls, bundle: Bundle, store: Path, options: RuntimeOptions) -> Subject:
        """Raises what `Classifier.load` raises."""
        takes = bundle.manifest.input_spec
        images = takes.synthetic(np.random.default_rng(0), CLASSES * SHOTS).reshape(CLASSES, SHOTS, *takes.shape)
        unseeded = replace(bundle, seed=None)  # which would add its classes to ours
        return cls(bundle, Classifier.load(unseeded, store, **vars(options)), images, store, {})

    def enroll(self) -> None:
        """Enroll the images one by one: the stage `enroll`, one shot until it is on the disk."""
        self.timed["enroll"] = [
            [
                timing.seconds(partial(self.classifier.enroll, f"class {label}", image[None]))
                for label, shots in enumerate(self.images)
                for image in shots
            ]
        ]

    def works(self) -> dict[str, timing.Work]:
        """What can be timed in turn with other subjects: the stages of `classification` and of `teaching`."""
        return {**classification(self.classifier, self.images[0, 0]), **teaching(self.classifier)}

    def adapt(self, runs: int, limit: float) -> None:
        """The stage `adapt`: as the bundle says, until it is on the disk. Leaves the store as it was.

        A few runs are enough for what takes long, and no more are begun after so many seconds as the limit says.
        """
        taken: list[float] = []
        while len(taken) < min(runs, ADAPTATIONS) and sum(taken) < limit:
            taken.append(timing.seconds(self.classifier.adapt))
            self.classifier.undo()
        self.timed["adapt"] = [taken]


def classification(classifier: Classifier, image: NDArray[Any]) -> dict[str, timing.Work]:
    """The stages of one classification, each on what the one before gives.

    Returns:
        Only if the encoder takes images: `decode`, a PNG file in memory at its size, if Pillow is there; `resize`, an image
        of twice its height and width. For all: `preprocess`, checks and normalization of an example at its size; `embed`:
        set_tensor, invoke, get_tensor; `bare`, the same interpreter's invoke alone; `score`: head, softmax, ranking,
        rejection; `total`, a whole `Classifier.classify` of an example at the encoder's size.
    """
    input_spec, encoder = classifier.bundle.manifest.input_spec, classifier.encoder
    normalized = input_spec.normalize(image)[None]
    embedding = encoder.embed(normalized)
    works: dict[str, timing.Work] = {
        "preprocess": lambda: input_spec.normalize(input_spec.read(image))[None],
        "embed": lambda: encoder.embed(normalized),
        "bare": encoder.interpreter.invoke,
        "score": lambda: classifier.classify_embedding(embedding),
        "total": lambda: classifier.classify(image),
    }
    if isinstance(input_spec, ImageInput):
        file, large, channels = png(image), image.repeat(2, axis=0).repeat(2, axis=1), input_spec.channels
        works["resize"] = lambda: input_spec.read(large)
        if has_pillow():
            works["decode"] = lambda: read_image(file, channels)
    return works


def has_pillow() -> bool:
    return importlib.util.find_spec("PIL") is not None


def score_by_classes(classifier: Classifier, folder: Path, runs: int, limit: float) -> dict[str, dict[str, Any]]:
    """The stage `score` with other numbers of classes, of one synthetic shot each, in stores of their own."""
    bundle, embedding = classifier.bundle, random_embeddings(classifier.bundle.manifest.dim)
    samplers: dict[int, timing.Sampler] = {}
    with ExitStack() as opened:
        for classes in BY_CLASSES:
            store = opened.enter_context(bundle.open_store(folder / f"{classes}.db"))
            fill(store, random_embeddings(classes, 1, bundle.manifest.dim))
            scorer = Classifier(bundle, classifier.encoder, store)
            samplers[classes] = timing.sampler(partial(scorer.classify_embedding, embedding))
        return {str(name): timing.summary(rounds) for name, rounds in timing.in_turn(samplers, runs, 3, limit).items()}


def random_embeddings(*shape: int) -> NDArray[np.float32]:
    """Of about unit length. Longer ones would be so far apart that probabilities underflow to denormal numbers, which take a
    CPU many times as long."""
    random = np.random.default_rng(shape).normal(scale=shape[-1] ** -0.5, size=shape)
    return random.astype(np.float32)


def fill(store: Store, embeddings: NDArray[np.float32]) -> None:
    """Enroll synthetic classes (N, M, D) without waiting for the disk, which has no part in what is timed then."""
    for label, shots in enumerate(embeddings):
        store.enroll(f"class {label}", shots)
        if label == 0:  # which has made the file
            store.database.query("PRAGMA synchronous = OFF")


def teaching(classifier: Classifier) -> dict[str, timing.Work]:
    """`adapt_step`, one gradient step over all enrolled shots."""
    with classifier.store.adapting() as enrolled:
        embeddings, labels = enrolled.embeddings, enrolled.labels
        weights, bias = linear.linear_from_prototypes(enrolled.snapshot.prototypes)
    return {"adapt_step": lambda: linear.linear_step(embeddings, labels, weights, bias, 1e-3)}


def png(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, C) as a PNG file, without Pillow: decoding is timed, and needs a file (PNG 1.2, sections 3 and 4)."""
    height, width, channels = image.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image)  # each begins with its filter, none
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
