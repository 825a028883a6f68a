"""The outer loop: steps over episodes, with validation and checkpoints at even intervals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.log import LOG
from edge_meta.training.checkpoints import Checkpoints
from edge_meta.training.devices import is_chief
from edge_meta.training.learner import Learner
from edge_meta.training.progress import Meter, Progress
from edge_meta.training.run import RunFolder
from edge_meta.training.step import require_step, train_step
from edge_meta.training.stop_requests import stop_requests


def fit(
    learner: Learner,
    sampler: EpisodeSampler,
    episodes: int,
    validation: EpisodeSampler | None,
    run: RunFolder | None,
    on_progress: Callable[[Progress], None] | None,
    *,
    augment: bool,
    tasks: int,
    xla: bool,
    validations: int,
    validation_episodes: int,
    minutes: float | None = None,
) -> list[dict[str, Any]]:
    """Minimize the learner's loss over the sampler's episodes 0 to `episodes` − 1; see `Method.fit` for the arguments.

    At the end of each interval the learner is judged. The run folder, if given, then gets a checkpoint, and the encoder
    where it is the best so far (without validation, always). A run with a checkpoint in its folder goes on from there. With
    op determinism on it ends with the same weights as one that was never interrupted, since episodes depend only on their
    number.

    When `minutes` are over, the step that is being taken is the last of this call; it ends like a whole interval.

    Returns:
        The history, a dict for each interval, those before a resume included.

    Raises:
        TrainingError: the step cannot be run (see `require_step`); SIGINT or SIGTERM ended the run early, after a
            checkpoint; or the loss is no longer finite.
    """
    require_step(learner.strategy, episodes, tasks, xla)
    with learner.strategy.scope():
        learner.optimizer.build(learner.trainable_variables)
    checkpoints = Checkpoints(learner, run)
    step = train_step(learner, sampler, augment, xla)
    interval = max(1, -(-episodes // validations))
    meter = Meter(episodes, checkpoints.episode, sampler.way * (sampler.shot + sampler.query), interval)
    deadline = math.inf if minutes is None else time.perf_counter() + 60.0 * minutes

    with stop_requests() as stop:
        for episode in range(checkpoints.episode, episodes, tasks):
            began = time.perf_counter()
            loss, accuracy = step([sampler.episode(episode + task) for task in range(tasks)], episode)
            meter.add(loss, accuracy, time.perf_counter() - began)
            progress = meter.progress(episode + tasks)
            over = time.perf_counter() >= deadline
            complete = progress.episode // interval > episode // interval or progress.episode == episodes or over
            stopping = stop.is_set() and progress.episode < episodes
            if complete or stopping:
                _require_finite(progress)
                if complete and validation:
                    began = time.perf_counter()
                    progress = replace(progress, validation=learner.evaluate(validation, validation_episodes))
                    meter.add_validation(time.perf_counter() - began)
                row = _row(progress)
                checkpoints.add(row, complete)
                LOG.info("episode %d of %d: %s", progress.episode, progress.episodes, row)
                meter.clear()
            if on_progress:
                on_progress(progress)
            if stopping:
                raise _stopped(progress, run, is_chief(learner.strategy))
            if over:
                break
    return checkpoints.history


def _require_finite(progress: Progress) -> None:
    if not math.isfinite(progress.loss):
        raise TrainingError(
            f"The loss is {progress.loss} at episode {progress.episode}.",
            "Use a smaller learning rate; the checkpoint before is kept.",
        )


def _row(progress: Progress) -> dict[str, Any]:
    """The row of the history for an interval."""
    row: dict[str, Any] = {
        "episode": progress.episode,
        "loss": progress.loss,
        "accuracy": progress.accuracy,
        "images_per_second": progress.images_per_second,
    }
    if progress.validation is not None:
        row |= {"val_accuracy": progress.validation.mean, "val_ci95": progress.validation.ci95}
    return row


def _stopped(progress: Progress, run: RunFolder | None, chief: bool) -> TrainingError:
    """The error that ends a run on request."""
    at = f"Stopped at episode {progress.episode} of {progress.episodes}"
    if not chief:
        return TrainingError(f"{at}; the chief keeps the checkpoint.", "Go on with --resume on all hosts.")
    if run is None:
        return TrainingError("Stopped.", "Start again.")
    return TrainingError(f"{at}; a checkpoint is saved.", "Go on with --resume.")
