"""Progress of a run: loss and accuracy since the last validation, speed, and the time left."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from edge_meta.evaluation.interval import Interval


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step.

    Attributes:
        episode: episodes done, of `episodes`.
        loss, accuracy: means over the steps since the last validation.
        images_per_second: support and query images of training, since the run was started or resumed.
        eta: seconds left, those of validations included as soon as one has been timed.
        steps: taken since the run was started or resumed. The first, in which TensorFlow compiles the step, does not count
            for the speed and the time left once there are others.
        validation: the accuracy on validation episodes, after the step that ends an interval.
    """

    episode: int
    episodes: int
    loss: float
    accuracy: float
    images_per_second: float
    eta: float
    validation: Interval | None = None
    steps: int = 0


class Meter:
    """Adds up the steps of a run.

    Args:
        episodes: in the whole run.
        start: episodes done before this process.
        images_per_episode: support and query images.
        interval: episodes between two validations.
    """

    def __init__(self, episodes: int, start: int, images_per_episode: int, interval: int) -> None:
        self.episodes, self.start, self.images_per_episode, self.interval = episodes, start, images_per_episode, interval
        self.seconds: list[float] = []
        self.judging: list[float] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def add(self, loss: float, accuracy: float, seconds: float) -> None:
        """Count a step."""
        self.losses.append(loss)
        self.accuracies.append(accuracy)
        self.seconds.append(seconds)

    def add_validation(self, seconds: float) -> None:
        """Count a validation."""
        self.judging.append(seconds)

    def progress(self, episode: int) -> Progress:
        """The progress when that many episodes are done."""
        steps = len(self.seconds)
        step = fmean(self.seconds[1:] or self.seconds)
        rate = (episode - self.start) / (steps * step)
        validations = -(-self.episodes // self.interval) - episode // self.interval if episode < self.episodes else 0
        return Progress(
            episode,
            self.episodes,
            fmean(self.losses),
            fmean(self.accuracies),
            images_per_second=rate * self.images_per_episode,
            eta=(self.episodes - episode) / rate + (validations * fmean(self.judging) if self.judging else 0.0),
            steps=steps,
        )

    def clear(self) -> None:
        """Start the means of loss and accuracy anew."""
        self.losses.clear()
        self.accuracies.clear()
