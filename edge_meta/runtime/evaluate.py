"""Evaluate a bundle as the device runs it: its quantized file, in a device's interpreter, over episodes of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import load_dataset
from edge_meta.episodes import EpisodeSampler
from edge_meta.errors import InputError
from edge_meta.evaluation import Interval, accuracies, linear_head, prototype_head
from edge_meta.inputs import Input
from edge_meta.runtime import heads
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import open_encoder
from edge_meta.runtime.interpreter import Encoder


@dataclass(frozen=True)
class Evaluation:
    """Closed-set accuracy over episodes, and how it came about; `steps` is None for the prototype head."""

    dataset: str
    split: str
    way: int
    shot: int
    query: int
    episodes: int
    seed: int
    head: str
    steps: int | None
    within_alphabet: bool
    backend: str
    accuracy: Interval


def evaluate(
    bundle: Bundle,
    dataset: str,
    split: str = "test",
    way: int = 20,
    shot: int = 1,
    query: int = 15,
    episodes: int = 1000,
    seed: int = 0,
    head: str = "prototype",
    steps: int | None = None,
    within_alphabet: bool = False,
    options: RuntimeOptions = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Draw episodes from a split and classify their queries; nothing is rejected as unknown.

    Args:
        bundle: an opened bundle.
        dataset, split: see `edge_meta.datasets.load_dataset`.
        head: `prototype`, or `linear`, adapted to each episode's support set with the bundle's learning rates.
        steps: of the linear head; the bundle's unless given.
        within_alphabet: draw each episode within one of the dataset's groups; see `EpisodeSampler`.
        on_progress: called with the number of examples embedded, and of all.

    Raises:
        DatasetError, BackendError, BundleError: see there.
        InputError: no such head, steps for a head that takes none, or fewer than two episodes.
    """
    if episodes < 2:
        raise InputError(f"{episodes} episodes give no interval.", "Use 2 or more; 1000 is usual.")
    manifest = bundle.manifest
    rates = heads.step_rates(manifest.learning_rates, steps) if head == "linear" else []
    if head not in ("prototype", "linear"):
        raise InputError(f"There is no head {head!r}.", "Use prototype or linear.")
    if steps is not None and not rates:
        raise InputError("The prototype head takes no steps.", "Leave the steps out, or use the linear head.")
    encoder = open_encoder(bundle, options)
    data = load_dataset(dataset, split, manifest.image_input)
    sampler = EpisodeSampler(data, way, shot, query, seed, within_alphabet)
    embeddings = embed_all(encoder, manifest.image_input, data.images, on_progress)
    accuracy = Interval.of(accuracies(embeddings, sampler, episodes, linear_head(rates) if rates else prototype_head))
    return Evaluation(
        dataset,
        split,
        way,
        shot,
        query,
        episodes,
        seed,
        head,
        len(rates) or None,
        within_alphabet,
        encoder.backend,
        accuracy,
    )


def embed_all(
    encoder: Encoder,
    image_input: Input,
    images: NDArray[Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Examples (n, ...) as the encoder's input reads them to embeddings (n, D), one at a time as a device does."""
    embeddings = np.empty((len(images), encoder.dim), np.float32)
    for index, image in enumerate(images):
        embeddings[index] = encoder.embed(image_input.normalize(image)[None])
        if on_progress and ((index + 1) % 100 == 0 or index + 1 == len(images)):
            on_progress(index + 1, len(images))
    return embeddings
