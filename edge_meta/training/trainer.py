"""The outer loop: episodes in, weights moved, validation and checkpoints at even intervals."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.evaluation.interval import Interval
from edge_meta.training.augment import distort
from edge_meta.training.devices import is_chief
from edge_meta.training.encoders import for_device
from edge_meta.training.malloc import keep_freed_memory
from edge_meta.training.run import RunFolder

if TYPE_CHECKING:
    from edge_meta.training.base import Method

VALIDATIONS = 25
VALIDATION_EPISODES = 200


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `validation` is set once an interval.

    `images_per_second` counts support and query images of training since the run was started or resumed; `eta` is in
    seconds.
    """

    episode: int
    episodes: int
    loss: float
    accuracy: float
    images_per_second: float
    eta: float
    validation: Interval | None = None


def fit(
    method: Method,
    sampler: EpisodeSampler,
    episodes: int,
    validation: EpisodeSampler | None,
    run: RunFolder | None,
    on_progress: Callable[[Progress], None] | None,
    augment: bool,
    tasks: int,
    xla: bool,
) -> list[dict[str, Any]]:
    """Minimize the method's loss over the sampler's episodes 0 to `episodes` − 1.

    25 times in a run, the encoder is judged on 200 validation episodes. The run folder, if given, then gets a checkpoint,
    and the encoder when it is the best so far (without validation, the newest). A run that finds a checkpoint in its folder
    goes on from there; with op determinism on it ends with the same weights as one that was never interrupted, since
    episodes depend only on their number.

    The dataset stays in TensorFlow's memory as uint8, and a step is fed indices alone, so that input costs next to nothing.

    Raises:
        TrainingError: the step cannot be run (see `require_step`); SIGINT or SIGTERM ended the run early, after a
            checkpoint; or the loss is no longer finite.
    """
    require_step(method.strategy, episodes, tasks, xla)
    optimizer = method.optimizer
    with method.strategy.scope():
        optimizer.build(method.trainable_variables)
    variables = [*method.variables, *optimizer.variables]
    history = run.restore(variables) if run else []
    start = history[-1]["episode"] if history else 0
    best = max((row["val_accuracy"] for row in history if "val_accuracy" in row), default=-1.0)
    keeper = run if is_chief(method.strategy) else None
    if keeper and history:
        keeper.write_curve(history)
    step = train_step(method, sampler, augment, xla)
    interval = max(1, -(-episodes // VALIDATIONS))
    images_per_episode = sampler.way * (sampler.shot + sampler.query)
    losses: list[float] = []
    hits: list[float] = []
    training_seconds = 0.0

    with _stop_requests() as stopped:
        for episode in range(start, episodes, tasks):
            began = time.perf_counter()
            drawn = [sampler.episode(episode + task) for task in range(tasks)]
            loss, accuracy = step(drawn, episode)
            losses.append(loss)
            hits.append(accuracy)
            training_seconds += time.perf_counter() - began
            done = episode + tasks
            rate = (done - start) / training_seconds
            progress = Progress(
                done, episodes, fmean(losses), fmean(hits), rate * images_per_episode, (episodes - done) / rate
            )
            stopping = stopped.is_set() and done < episodes
            due = done // interval > episode // interval or done == episodes
            if not (due or stopping):
                if on_progress:
                    on_progress(progress)
                continue
            if not math.isfinite(progress.loss):
                raise TrainingError(
                    f"The loss is {progress.loss} at episode {done}.",
                    "Use a smaller learning rate; the checkpoint before is kept.",
                )
            row: dict[str, Any] = {"episode": done, "loss": progress.loss, "accuracy": progress.accuracy}
            row["images_per_second"] = progress.images_per_second
            if validation and due:
                judged = method.evaluate(validation, VALIDATION_EPISODES)
                row |= {"val_accuracy": judged.mean, "val_ci95": judged.ci95}
                progress = replace(progress, validation=judged)
            history.append(row)
            if keeper:
                if due and row.get("val_accuracy", 2.0) > best:
                    keeper.save_encoder(for_device(method.encoder), method.learning_rates())
                keeper.checkpoint(variables, history)
            best = max(best, row.get("val_accuracy", -1.0))
            losses.clear()
            hits.clear()
            if on_progress:
                on_progress(progress)
            if stopping and not is_chief(method.strategy):
                raise TrainingError(
                    f"Stopped at episode {done} of {episodes}; the chief keeps the checkpoint.",
                    "Go on with --resume on all hosts.",
                )
            if stopping:
                raise TrainingError(
                    f"Stopped at episode {done} of {episodes}; a checkpoint is saved." if run else "Stopped.",
                    "Go on with --resume." if run else "Start again.",
                )
    return history


def require_step(strategy: tf.distribute.Strategy, episodes: int, tasks: int, xla: bool) -> None:
    """Raises TrainingError when the episodes do not fill steps of that many tasks, or the devices cannot run them."""
    replicas = strategy.num_replicas_in_sync
    if tasks < 1 or episodes % tasks:
        raise TrainingError(f"{episodes} episodes are not a multiple of {tasks} tasks a step.", "Change one of the two.")
    if tasks % replicas:
        raise TrainingError(
            f"{tasks} tasks a step cannot be shared out evenly among {replicas} devices.",
            f"Use a multiple of {replicas} tasks.",
        )
    if xla and replicas > 1:
        raise TrainingError("XLA compiles the step of a single device.", "Leave --xla out, or train on one device.")


def train_step(
    method: Method, sampler: EpisodeSampler, augment: bool, xla: bool = False
) -> Callable[[list[Episode], int], tuple[float, float]]:
    """One step of the outer loop: the episodes of a meta-batch and the number of the first in, loss and accuracy out.

    Each replica of the method's strategy takes an equal share of the episodes; loss and accuracy are means over all.
    """
    keep_freed_memory()
    strategy, replicas = method.strategy, method.strategy.num_replicas_in_sync
    images = tf.constant(sampler.dataset.examples)
    mean, scale = method.input_spec.mean, method.input_spec.scale

    def gather(indices: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        gathered = tf.cast(tf.gather(images, tf.reshape(indices, [-1])), tf.float32)
        if augment:
            gathered = distort(gathered, seed)
        return tf.reshape((gathered - mean) * scale, (*indices.shape, *images.shape[1:]))

    def learn(support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        seeds = tf.random.split(tf.stack([sampler.seed, number]), 2)
        loss, accuracy, gradients = method.gradients(gather(support, seeds[0]), gather(query, seeds[1]), classes)
        # Keras adds up the gradients of all replicas; the loss is the mean over them.
        shares = [gradient / replicas for gradient in gradients]
        method.optimizer.apply_gradients(zip(shares, method.trainable_variables, strict=True))
        return tf.stack([loss, accuracy])

    @tf.function(jit_compile=xla)
    def step(shares: tuple[tf.Tensor, ...]) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(learn, shares), axis=None)

    def run(episodes: list[Episode], number: int) -> tuple[float, float]:
        indices = [np.stack([getattr(each, side) for each in episodes]) for side in ("support", "query", "classes")]

        def share(replica: tf.distribute.experimental.ValueContext) -> tuple[tf.Tensor, ...]:
            first = replica.replica_id_in_sync_group * len(episodes) // replicas
            rows = slice(first, first + len(episodes) // replicas)
            return (*(tf.constant(each[rows]) for each in indices), tf.constant(number + first))

        loss, accuracy = step(strategy.experimental_distribute_values_from_function(share)).numpy()
        return float(loss), float(accuracy)

    return run


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Turns SIGINT and SIGTERM into an event that the loop reads between two steps, so that no step is torn."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in signals]
    try:
        yield stopped
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
