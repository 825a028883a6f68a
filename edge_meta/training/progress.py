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
        eta: seconds of training left.
        validation: the accuracy on validation episodes, after the step that ends an interval.
    """

    episode: int
    episodes: int
    loss: float
    accuracy: float
    images_per_second: float
    eta: float
    validation: Interval | None = None


class Meter:
    """Adds up the steps of a run.

    Args:
        episodes: in the whole run.
        start: episodes done before this process.
        images_per_episode: support and query images.
    """

    def __init__(self, episodes: int, start: int, images_per_episode: int) -> None:
        self.episodes, self.start, self.images_per_episode = episodes, start, images_per_episode
        self.seconds = 0.0
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def add(self, loss: float, accuracy: float, seconds: float) -> None:
        """Count a step."""
        self.losses.append(loss)
        self.accuracies.append(accuracy)
        self.seconds += seconds

    def progress(self, episode: int) -> Progress:
        """The progress when that many episodes are done."""
        rate = (episode - self.start) / self.seconds
        return Progress(
            episode,
            self.episodes,
            fmean(self.losses),
            fmean(self.accuracies),
            images_per_second=rate * self.images_per_episode,
            eta=(self.episodes - episode) / rate,
        )

    def clear(self) -> None:
        """Start the means of loss and accuracy anew."""
        self.losses.clear()
        self.accuracies.clear()
