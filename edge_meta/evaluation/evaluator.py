"""Evaluate a bundle as a device runs it: its quantized file, in a device's interpreter, over episodes of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_meta.blas import Limited
from edge_meta.choices import HEADS
from edge_meta.datasets import Dataset, lake, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler, EpisodeSource, PartOfEpisodes, examples_of
from edge_meta.errors import InputError
from edge_meta.evaluation.episode_heads import adapted_head, prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.judged_episodes import JudgedEpisodes, judge_episodes
from edge_meta.evaluation.open_set import OpenSet, judge_strangers
from edge_meta.evaluation.protocol import EpisodeProtocol, protocol_for
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.rejection import Rejection, check_rate
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.types import Array


@dataclass(frozen=True)
class Evaluation:
    """Closed-set accuracy over episodes, and the way it was measured.

    Attributes:
        head: `prototype` or `linear`.
        solver: of the linear head; None for the prototype head.
        steps: gradient steps allowed; None where there are none to take.
        accuracy: the mean over episodes.
        open_set: None unless strangers were asked for.
        part: which part of the episodes this is, from 1, and of how many; None for all.
        judged: the answers over the episodes, for a report.
    """

    dataset: str
    protocol: EpisodeProtocol
    head: str
    solver: str | None
    steps: int | None
    backend: str
    accuracy: Interval
    open_set: OpenSet | None
    judged: JudgedEpisodes = field(repr=False, compare=False)
    part: tuple[int, int] | None = None


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
    part: tuple[int, int] | None = None,
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
        part: take the episodes of one part, from 1, of so many, and embed what they use alone. The accuracies of all parts,
            one after the other, are those of the whole. Not with strangers.

    Raises:
        DatasetError: the dataset cannot be had, or cannot give such episodes.
        BackendError, BundleError: the encoder cannot run.
        InputError: no such head or solver, one or steps for a head that takes none, a false-accept rate without strangers or
            beyond the calibration, a bundle that is not calibrated for unknown, a protocol for `lake`, or no such part.
    """
    manifest = bundle.manifest
    protocol = protocol_for(dataset, protocol, strangers)
    plan = _adaptation(manifest, head, solver, steps)
    rejection = _rejection(bundle, strangers, false_accept)
    _check_part(part, protocol, strangers)
    encoder = open_encoder(bundle, options)

    def embedded(data: Dataset, rows: NDArray[np.int64] | None = None) -> Array:
        """Embed a dataset; with `rows` those alone, and zeros are the others'."""
        if rows is None:
            return embed_all(encoder, manifest.input_spec, data.examples, on_progress)
        embeddings = np.zeros((len(data.examples), encoder.dim), np.float32)
        embeddings[rows] = embed_all(encoder, manifest.input_spec, data.examples[rows], on_progress)
        return embeddings

    with Limited(options.threads):
        data = load_dataset(dataset, protocol.split, manifest.input_spec)
        sampler = None if dataset == "lake" else _sampler(data, protocol)
        source: EpisodeSource = sampler or lake.runs(data)
        if part is not None:
            source = PartOfEpisodes(source, *part)
        embeddings = embedded(data, None if part is None else examples_of(source, protocol.episodes))
        episode_head = adapted_head(plan) if plan else prototype_head
        judged = judge_episodes(embeddings, data, source, protocol.episodes, episode_head)
        open_set = None
        if sampler and rejection and strangers is not None:
            others = None
            if strangers != dataset:
                others = embedded(load_dataset(strangers, protocol.split, manifest.input_spec))
            open_set = judge_strangers(embeddings, sampler, protocol.episodes, episode_head, rejection, false_accept, others)
    solver, steps = (plan.solver, len(plan.learning_rates) or None) if plan else (None, None)
    return Evaluation(
        dataset, protocol, head, solver, steps, encoder.backend, Interval.of(judged.accuracies), open_set, judged, part
    )


def _check_part(part: tuple[int, int] | None, protocol: EpisodeProtocol, strangers: str | None) -> None:
    if part is None:
        return
    number, parts = part
    if strangers is not None:
        raise InputError("A part of the episodes is judged by its accuracy alone.", "Leave the strangers out.")
    if not 1 <= number <= parts <= protocol.episodes // 2:
        raise InputError(
            f"There is no part {number} of {parts} of {protocol.episodes} episodes.",
            f"Count from 1, and make at most {protocol.episodes // 2} parts, so that each has 2 episodes or more.",
        )


def _adaptation(manifest: Manifest, head: str, solver: str | None, steps: int | None) -> AdaptationConfig | None:
    """The linear head's adaptation; None for the prototype head."""
    if head not in HEADS:
        raise InputError(f"There is no head {head!r}.", f"Use {' or '.join(HEADS)}.")
    if head == "linear":
        return AdaptationConfig.of(manifest.learning_rates, manifest.rates_learned, solver, steps)
    if steps is not None or solver is not None:
        raise InputError("The prototype head takes no steps and no solver.", "Leave them out, or use the linear head.")
    return None


def _rejection(bundle: Bundle, strangers: str | None, false_accept: float | None) -> Rejection | None:
    """The bundle's, which strangers need."""
    rejection = bundle.manifest.rejection
    if false_accept is not None and strangers is None:
        raise InputError("A false-accept rate is judged by strangers.", "Say where they come from with --strangers.")
    check_rate(rejection, false_accept)
    if strangers is not None and rejection is None:
        raise InputError(f"{bundle.path} is not calibrated for unknown.", "Export it again with --calibration.")
    return rejection


def _sampler(data: Dataset, protocol: EpisodeProtocol) -> EpisodeSampler:
    way, shot, query = protocol.way, protocol.shot, protocol.query
    return EpisodeSampler(data, way, shot, query, protocol.seed or 0, protocol.within_alphabet)
