"""From a configuration to a run folder with an encoder in it, for `edge-meta train` and the demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from edge_meta.choices import OF_IMAGES
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.datasets.training_splits import load_training
from edge_meta.errors import TrainingError
from edge_meta.training import devices
from edge_meta.training.config import TrainingConfig
from edge_meta.training.encoder_copies import BFLOAT16, in_precision, with_fused_norms
from edge_meta.training.encoders import ENCODERS
from edge_meta.training.methods.adapting import AdaptingMethod
from edge_meta.training.methods.base import Method
from edge_meta.training.progress import Progress
from edge_meta.training.registry import METHODS
from edge_meta.training.run import RunFolder
from edge_meta.training.start import start_from
from edge_meta.training.step import require_step

MOMENTUM = 0.9  # of batch norm, where a network is also made for longer runs
VALIDATION_SEED = 1_000_003  # apart from the seeds that people choose for training


def train(
    config: TrainingConfig,
    output: str | Path,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    minutes: float | None = None,
) -> RunFolder:
    """Train as configured, into the folder `output`.

    Op determinism is on for the whole process: the same configuration on the same machine gives the same weights. With XLA
    it is off, and that is not promised. Of several hosts, which share the folder, only the chief writes to it.

    Args:
        resume: go on with the run in the folder, which was started with the same configuration.
        on_progress: called after each step.
        strategy: the devices to train on; by default those that `devices.strategy` finds.
        minutes: end after this time, with a validation and a checkpoint that `resume` goes on from; on one host only.

    Raises:
        DatasetError: the dataset is missing, or too small for the episodes asked for.
        TrainingError: the folder holds a run and `resume` is off; it holds none, or a run of another configuration or of
            other data, and `resume` is on; the devices cannot take the steps; or another worker is gone.
    """
    strategy = strategy or devices.strategy()
    require_step(strategy, config.episodes, config.tasks, config.xla)
    if not config.xla:  # XLA has no deterministic gradient of max pooling
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    training, validation = load_training(config.dataset, config.split, config.input)
    data = {split.split: _summary(split) for split in (training, validation)}
    training = _with_more_classes(training, config)
    sampler = EpisodeSampler(training, config.way, config.shot, config.query, config.seed, whole_groups=config.whole_groups)

    run = RunFolder(output)
    is_start = not (resume and run.begun)
    with devices.lost_workers(strategy), strategy.scope():
        learner = _compiled(config, training, is_start)
    judge = _validation_sampler(validation, config, learner)
    chief = devices.is_chief(strategy)
    if resume:
        _require_same(run, config, data)
    elif chief:
        RunFolder.create(output, asdict(config), _made(config, learner, data, len(training.class_names), judge))
    if is_start:  # also of a run that ended before its first checkpoint
        learner.prepare(training)
    with devices.lost_workers(strategy):
        learner.fit(
            sampler, config.episodes, judge, run if resume or chief else None, on_progress,
            config.augment, config.tasks, config.xla, minutes=minutes,
        )  # fmt: skip
    return run


def _summary(data: Dataset) -> dict[str, Any]:
    """The facts of a dataset's split by which a resumed run knows it again."""
    return {"classes": len(data.class_names), "examples": len(data.examples), "sha256": data.digest}


def _with_more_classes(data: Dataset, config: TrainingConfig) -> Dataset:
    """The training data with rotations and reflections of its classes as classes, as configured."""
    if config.with_rotations:
        data = data.with_rotations()
    return data.with_reflections() if config.reflections else data


def _compiled(config: TrainingConfig, training: Dataset, is_start: bool) -> Method:
    """The method around its encoder; at the start of a run, with the weights that the run is to start from."""
    encoder = ENCODERS[config.encoder](config.input.shape, **config.encoder_options)
    if config.encoder not in OF_IMAGES:
        encoder = with_fused_norms(encoder, MOMENTUM)
    if config.precision == "bfloat16":
        encoder = in_precision(encoder, BFLOAT16)
    if config.start is not None and is_start:
        start_from(config.start, encoder, config.encoder, training.examples)
    learner = METHODS[config.method](encoder, config, len(training.class_names))
    steps = config.episodes // config.tasks
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)))
    return learner


def _validation_sampler(data: Dataset, config: TrainingConfig, learner: Method) -> EpisodeSampler:
    way, shot, query = data.protocol(config.shot)
    if isinstance(learner, AdaptingMethod) and learner.way:
        way = learner.way
    return EpisodeSampler(data, way, shot, query, VALIDATION_SEED)


def _made(
    config: TrainingConfig, learner: Method, data: dict[str, Any], classes: int, judge: EpisodeSampler
) -> dict[str, Any]:
    """The facts that follow from a configuration, for run.json."""
    return {
        "input": config.input.to_manifest(),
        "data": data,
        "training_classes": classes,
        "parameters": learner.encoder.count_params(),
        "dim": learner.encoder.output_shape[-1],
        "batch_norm": learner.batch_norm,
        "validation": f"{judge.way}-way {judge.shot}-shot, {judge.query} queries, {learner.evaluation_batch_norm}",
    }


def _require_same(run: RunFolder, config: TrainingConfig, data: dict[str, Any]) -> None:
    """Raises TrainingError unless the run was started with this configuration, on this data."""
    facts = run.facts()
    # A setting that the version that started the run did not have was at its default.
    kept, asked = asdict(TrainingConfig()) | facts["asked"], asdict(config)
    differing = sorted(key for key in asked if kept[key] != asked[key])
    if differing:
        raise TrainingError(
            f"{run.path} was started with another {', '.join(differing)}.",
            "Resume it with what it was started with, or start anew with another --output.",
        )
    if facts["made"]["data"] != data:
        raise TrainingError(
            f"{config.dataset} is not what it was when {run.path} was started.", "Start anew with another --output."
        )
