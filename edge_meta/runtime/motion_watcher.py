"""See enrolled gestures in a stream of sensor values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from edge_meta.errors import InputError
from edge_meta.inputs import InputSpec, SeriesInput
from edge_meta.inputs.motions import Motion, MotionCutter
from edge_meta.runtime.results import Event, Prediction


class MotionWatcher:
    """Answers each motion between two moments of stillness; see `inputs.motions`. One thread at a time may feed it.

    Args:
        spec: the encoder's input; it must take series.
        classify: gives the answer for a motion, (n, channels).
        on_event: called with each event.
        name: of the stream, for messages.
        clock: in seconds, for the latency.

    Attributes:
        motions: the number of motions that were classified so far.

    Raises:
        InputError: the encoder takes no series.
    """

    def __init__(
        self,
        spec: InputSpec,
        classify: Callable[[Any], Prediction],
        on_event: Callable[[Event], object] | None = None,
        name: str = "The stream",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(spec, SeriesInput):
            raise InputError(f"This bundle takes {spec.noun}s; a stream of motions is series.", "Use a bundle of series.")
        self._classify, self._on_event, self._clock = classify, on_event, clock
        self._cutter, self.motions = MotionCutter(name), 0

    def feed(self, times: Any, values: Any) -> list[Event]:
        """Take the next rows, values (n, channels) at times (n,) in seconds; returns what was seen.

        Raises:
            InputError: see `MotionCutter.feed`, or there are more channels than the encoder takes.
            LabelError: nothing is enrolled.
        """
        arrived = self._clock()
        return self._answered(self._cutter.feed(times, values), arrived)

    def events(self, blocks: Iterable[tuple[Any, Any]]) -> Iterator[Event]:
        """Watch blocks of times and values, as `feed` takes them, to their end.

        Raises:
            InputError, LabelError: see `feed`.
        """
        for times, values in blocks:
            yield from self.feed(times, values)
        arrived = self._clock()
        yield from self._answered(self._cutter.end(), arrived)

    def _answered(self, motions: Iterable[Motion], arrived: float) -> list[Event]:
        events = []
        for motion in motions:
            answer = self._classify(motion.values)
            self.motions += 1
            if answer.label is None:
                continue
            event = Event(motion.end, answer.label, answer.score, 1000 * (self._clock() - arrived))
            events.append(event)
            if self._on_event is not None:
                self._on_event(event)
        return events
