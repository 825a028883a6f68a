"""Evaluate a bundle as a device runs it: its quantized file, in a device's interpreter, over episodes of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset, lake, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import InputError
from edge_meta.evaluation.accuracy import Interval, accuracies, adapted_head, prototype_head
from edge_meta.evaluation.open_set import OpenSet, judge_strangers
from edge_meta.evaluation.protocol import EpisodeProtocol, protocol_for
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.rejection import check_rate
from edge_meta.inputs import InputSpec
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import open_encoder
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest


@dataclass(frozen=True)
class Evaluation:
    """Closed-set accuracy over episodes, and the way it was measured.

    Attributes:
        head: `prototype` or `linear`.
        solver: of the linear head; None for the prototype head.
        steps: gradient steps allowed; None where there are none to take.
        accuracy: the mean over episodes.
        open_set: None unless strangers were asked for.
    """

    dataset: str
    protocol: EpisodeProtocol
    head: str
    solver: str | None
    steps: int | None
    backend: str
    accuracy: Interval
    open_set: OpenSet | None


def evaluate(
    bundle: Bundle,
    dataset: str,
    protocol: EpisodeProtocol | None = None,
    head: str = "prototype",
    solver: str | None = None,
    steps: int | None = None,
    strangers: str | None = None,
    false_accept: float | None = None,
    options: RuntimeOptions = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classify the queries of episodes; for the accuracy nothing is rejected as unknown.

    Args:
        bundle: an opened bundle.
        dataset: one of `edge_meta.datasets.names.NAMES`.
        protocol: which episodes to draw, `EpisodeProtocol()` unless given. None for `lake`, which lists its 20 runs.
        head: `prototype`, or `linear`, adapted to each episode's support set as `Classifier.adapt` does.
        solver, steps: of the linear head; see `Classifier.adapt`.
        strangers: a dataset from which as many strangers as queries are drawn for each episode. If it is `dataset` itself,
            they are of groups that the episode does not use, or of its other classes where there is no such group.
        false_accept: the share of strangers that may count as known; the bundle's own unless given.
        options: of the interpreter.
        on_progress: called with the number of examples embedded, and of all.

    Raises:
        DatasetError: the dataset cannot be had, or cannot give such episodes.
        BackendError, BundleError: the encoder cannot run.
        InputError: no such head or solver, one or steps for a head that takes none, a false-accept rate without strangers or
            beyond the calibration, a bundle that is not calibrated for unknown, or a protocol for `lake`.
    """
    manifest = bundle.manifest
    protocol = protocol_for(dataset, protocol, strangers)
    plan = _adaptation(manifest, head, solver, steps)
    if false_accept is not None and strangers is None:
        raise InputError("A false-accept rate is judged by strangers.", "Say where they come from with --strangers.")
    check_rate(manifest.rejection, false_accept)
    if strangers is not None and manifest.rejection is None:
        raise InputError(f"{bundle.path} is not calibrated for unknown.", "Export it again with --calibration.")
    encoder = open_encoder(bundle, options)

    def embedded(data: Dataset) -> NDArray[np.float32]:
        return embed_all(encoder, manifest.input_spec, data.examples, on_progress)

    data = load_dataset(dataset, protocol.split, manifest.input_spec)
    sampler = None if dataset == "lake" else _sampler(data, protocol)
    embeddings, episode_head = embedded(data), adapted_head(plan) if plan else prototype_head
    accuracy = Interval.of(accuracies(embeddings, sampler or lake.runs(data), protocol.episodes, episode_head))
    open_set = None
    if sampler and strangers is not None and manifest.rejection is not None:
        others = None
        if strangers != dataset:
            others = embedded(load_dataset(strangers, protocol.split, manifest.input_spec))
        rejection = manifest.rejection
        open_set = judge_strangers(embeddings, sampler, protocol.episodes, episode_head, rejection, false_accept, others)
    solver, steps = (plan.solver, len(plan.learning_rates) or None) if plan else (None, None)
    return Evaluation(dataset, protocol, head, solver, steps, encoder.backend, accuracy, open_set)


def _adaptation(manifest: Manifest, head: str, solver: str | None, steps: int | None) -> AdaptationConfig | None:
    """The linear head's adaptation; None for the prototype head."""
    if head not in ("prototype", "linear"):
        raise InputError(f"There is no head {head!r}.", "Use prototype or linear.")
    if head == "linear":
        return AdaptationConfig.of(manifest.learning_rates, manifest.rates_learned, solver, steps)
    if steps is not None or solver is not None:
        raise InputError("The prototype head takes no steps and no solver.", "Leave them out, or use the linear head.")
    return None


def _sampler(data: Dataset, protocol: EpisodeProtocol) -> EpisodeSampler:
    of = protocol
    return EpisodeSampler(data, of.way, of.shot, of.query, of.seed or 0, of.within_alphabet)


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
