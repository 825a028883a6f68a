"""See enrolled labels in a stream of pictures: a line each time that something else is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edge_meta.errors import InputError
from edge_meta.inputs import ImageInput, InputSpec
from edge_meta.runtime.results import Event, Prediction
from edge_meta.runtime.smoother import Smoother


@dataclass(frozen=True)
class WatcherOptions:
    """When pictures make an event.

    Attributes:
        votes: pictures that must agree on a label.
        of: this many pictures in a row.

    Raises:
        InputError: a value is out of range.
    """

    votes: int = 2
    of: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.votes <= self.of:
            raise InputError(f"{self.votes} votes of {self.of} pictures were asked for.", "Give from 1 to all of them.")


class Watcher:
    """Answers the pictures of a stream. One thread at a time may feed it.

    A label is an event when several pictures agree on it and it is another than the last one, or that one was not seen for
    `of` pictures in a row.

    Args:
        spec: the encoder's input; it must take images.
        classify: gives the answer for a picture.
        on_event: called with each event.
        clock: in seconds, for the latency.

    Raises:
        InputError: the encoder takes no images.
    """

    def __init__(
        self,
        spec: InputSpec,
        classify: Callable[[Any], Prediction],
        options: WatcherOptions | None = None,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(spec, ImageInput):
            raise InputError(
                f"This bundle takes {spec.noun}s; a watcher takes images.", "Use Classifier.stream, or a bundle of images."
            )
        options = options or WatcherOptions()
        self._classify, self._on_event, self._clock, self._of = classify, on_event, clock, options.of
        self._smoother = Smoother(options.votes, options.of, 0)
        self._shown: str | None = None
        self._unseen = 0

    def feed(self, seconds: float, picture: Any) -> list[Event]:
        """Take the next picture, as `Classifier.classify` does; returns the event that it makes, if any.

        Args:
            seconds: when it was taken, on the clock of the stream.

        Raises:
            InputError: it is not what the encoder takes.
            LabelError: nothing is enrolled.
        """
        arrived = self._clock()
        answer = self._classify(picture)
        self._unseen = 0 if answer.label == self._shown else self._unseen + 1
        if self._unseen >= self._of:
            self._shown = None
        seen = self._smoother(answer)
        if seen is None or seen[0] == self._shown:
            return []
        self._shown, self._unseen = seen[0], 0
        event = Event(seconds, *seen, 1000 * (self._clock() - arrived))
        if self._on_event is not None:
            self._on_event(event)
        return [event]

    def events(self, pictures: Iterable[tuple[float, Any]]) -> Iterator[Event]:
        """Watch pictures with their times, as `feed` takes them, to their end.

        Raises:
            InputError, LabelError: see `feed`.
        """
        for seconds, picture in pictures:
            yield from self.feed(seconds, picture)
