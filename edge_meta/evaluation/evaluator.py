"""Evaluate a bundle as the device runs it: its quantized file, in a device's interpreter, over episodes of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import HEADS
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import InputError
from edge_meta.evaluation.accuracy import Interval, accuracies, adapted_head, prototype_head
from edge_meta.evaluation.open_set import OpenSet, judge_strangers
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.rejection import check_rate
from edge_meta.inputs import InputSpec
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import open_encoder
from edge_meta.runtime.interpreter import Encoder


@dataclass(frozen=True)
class Evaluation:
    """Closed-set accuracy over episodes, and how it came about.

    Attributes:
        solver: of the linear head; None for the prototype head.
        steps: gradient steps allowed; None where there are none to take.
        open_set: None unless strangers were asked for.
    """

    dataset: str
    split: str
    way: int
    shot: int
    query: int
    episodes: int
    seed: int
    head: str
    solver: str | None
    steps: int | None
    within_alphabet: bool
    backend: str
    accuracy: Interval
    open_set: OpenSet | None


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
    solver: str | None = None,
    steps: int | None = None,
    within_alphabet: bool = False,
    strangers: str | None = None,
    false_accept: float | None = None,
    options: RuntimeOptions = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Draw episodes from a split and classify their queries; for the accuracy nothing is rejected as unknown.

    Args:
        bundle: an opened bundle.
        dataset, split: see `edge_meta.datasets.load_dataset`.
        head: `prototype`, or `linear`, adapted to each episode's support set as `Classifier.adapt` does.
        solver, steps: of the linear head; see `Classifier.adapt`.
        strangers: a dataset from which as many strangers as queries are drawn for each episode. If it is `dataset` itself,
            they are of groups that the episode does not use, or of its other classes where there is no such group.
        false_accept: the share of strangers that may count as known; as the bundle says unless given.
        within_alphabet: draw each episode within one of the dataset's groups; see `EpisodeSampler`.
        on_progress: called with the number of examples embedded, and of all.

    Raises:
        DatasetError, BackendError, BundleError: see there.
        InputError: no such head or solver, one or steps for a head that takes none, or fewer than two episodes.
    """
    if episodes < 2:
        raise InputError(f"{episodes} episodes give no interval.", "Use 2 or more; 1000 is usual.")
    manifest = bundle.manifest
    if head not in HEADS:
        raise InputError(f"There is no head {head!r}.", f"Use {' or '.join(HEADS)}.")
    if head == "prototype" and (steps is not None or solver is not None):
        raise InputError("The prototype head takes no steps and no solver.", "Leave them out, or use the linear head.")
    if false_accept is not None and strangers is None:
        raise InputError("A false-accept rate is judged by strangers.", "Say where they come from with --strangers.")
    check_rate(manifest.rejection, false_accept)
    plan = None
    if head == "linear":
        plan = AdaptationConfig.of(manifest.learning_rates, manifest.rates_learned, solver, steps)
    chosen = adapted_head(plan) if plan else prototype_head
    encoder = open_encoder(bundle, options)
    data = load_dataset(dataset, split, manifest.input_spec)
    sampler = EpisodeSampler(data, way, shot, query, seed, within_alphabet)
    embeddings = embed_all(encoder, manifest.input_spec, data.examples, on_progress)
    accuracy = Interval.of(accuracies(embeddings, sampler, episodes, chosen))
    open_set = None
    if strangers is not None:
        if manifest.rejection is None:
            raise InputError(f"{bundle.path} is not calibrated for unknown.", "Export it again with --calibration.")
        elsewhere = None
        if strangers != dataset:
            others = load_dataset(strangers, split, manifest.input_spec)
            elsewhere = embed_all(encoder, manifest.input_spec, others.examples, on_progress)
        open_set = judge_strangers(embeddings, sampler, episodes, chosen, manifest.rejection, false_accept, elsewhere)
    return Evaluation(
        dataset,
        split,
        way,
        shot,
        query,
        episodes,
        seed,
        head,
        plan.solver if plan else None,
        (len(plan.learning_rates) or None) if plan else None,
        within_alphabet,
        encoder.backend,
        accuracy,
        open_set,
    )


def embed_all(
    encoder: Encoder,
    input_spec: InputSpec,
    images: NDArray[Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Examples (n, ...) as the encoder's input reads them to embeddings (n, D), one at a time as a device does."""
    embeddings = np.empty((len(images), encoder.dim), np.float32)
    for index, image in enumerate(images):
        embeddings[index] = encoder.embed(input_spec.normalize(image)[None])
        if on_progress and ((index + 1) % 100 == 0 or index + 1 == len(images)):
            on_progress(index + 1, len(images))
    return embeddings
