"""Hear enrolled labels in a stream of sound: a sliding window, a voice gate, and a smoother over windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs import AudioInput, InputSpec
from edge_meta.inputs.audio_files import to_int16
from edge_meta.runtime.results import Event, Prediction
from edge_meta.runtime.ring_buffer import RingBuffer
from edge_meta.runtime.smoother import Smoother
from edge_meta.runtime.voice_gate import VoiceGate

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class ListenerOptions:
    """Settings of the windows of a stream, and of when windows make a hit.

    Attributes:
        hop: seconds between the starts of windows.
        votes: windows that must agree on a label.
        of: this many windows in a row.
        refractory: seconds after a hit in which there is no other; the window's length unless given.
        gate: dB above the noise floor from which a window is looked at.

    Raises:
        InputError: a value is out of range.
    """

    hop: float = 0.1
    votes: int = 2
    of: int = 3
    refractory: float | None = None
    gate: float = 6.0

    def __post_init__(self) -> None:
        if not 0 < self.hop <= 10:
            raise InputError(f"A hop of {self.hop} s was given.", "Give more than 0 and at most 10 seconds.")
        if not 1 <= self.votes <= self.of:
            raise InputError(f"{self.votes} votes of {self.of} windows were asked for.", "Give from 1 to all of them.")
        if self.refractory is not None and not 0 <= self.refractory < 1e6:
            raise InputError(f"A refractory time of {self.refractory} s was given.", "Give 0 or more seconds.")


class Listener:
    """Answers the windows of a stream. One thread at a time may feed it.

    Args:
        spec: the encoder's input; it must take recordings.
        classify: gives the answer for a window, int16 (samples,).
        on_event: called with each event.
        clock: in seconds, for the latency.

    Attributes:
        rate: of the samples, in Hz.
        gate: with the level of the last hop and the noise floor.
        windows: the number of windows that were classified so far.

    Raises:
        InputError: the encoder takes no recordings.
    """

    def __init__(
        self,
        spec: InputSpec,
        classify: Callable[[Samples], Prediction],
        options: ListenerOptions | None = None,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(spec, AudioInput):
            raise InputError(
                f"This bundle takes {spec.noun}s; a listener takes recordings.", "Use edge-meta watch, or a bundle of sound."
            )
        options = options or ListenerOptions()
        self._classify, self._on_event, self._clock, self.rate = classify, on_event, clock, spec.sample_rate
        self._window, self._hop = spec.samples, max(1, min(spec.samples, round(options.hop * spec.sample_rate)))
        rest = spec.samples if options.refractory is None else round(options.refractory * spec.sample_rate)
        self._ring = RingBuffer(spec.samples)
        self._smoother = Smoother(options.votes, options.of, -(-rest // self._hop))
        # A loud hop stays in the window for this many hops.
        self.gate = VoiceGate(options.gate, self._hop / spec.sample_rate, -(-spec.samples // self._hop))
        self._waiting: Samples = np.empty(0, np.int16)
        self._heard = self.windows = 0

    def feed(self, samples: Any) -> list[Event]:
        """Take the next samples (n,), any number of them, int16 or float from −1 to 1; returns what was heard.

        Raises:
            InputError: they are of another rank, dtype or range.
            LabelError: nothing is enrolled.
        """
        arrived = self._clock()
        given = np.asarray(samples)
        if given.ndim != 1:
            raise InputError(f"A block of shape {given.shape} was given; a stream is mono, (n,).", "Average its channels.")
        if given.size == 0:
            return []
        waiting = np.concatenate([self._waiting, to_int16(given)])
        events = []
        for first in range(0, len(waiting) - self._hop + 1, self._hop):
            hit = self._step(waiting[first : first + self._hop])
            if hit is not None:
                event = Event(self._heard / self.rate, *hit, 1000 * (self._clock() - arrived))
                events.append(event)
                if self._on_event is not None:
                    self._on_event(event)
        self._waiting = waiting[len(waiting) // self._hop * self._hop :]
        return events

    def events(self, blocks: Iterable[Any]) -> Iterator[Event]:
        """Listen to blocks of samples, as `feed` takes them, to their end; silence follows the last one.

        Raises:
            InputError, LabelError: see `feed`.
        """
        for block in blocks:
            yield from self.feed(block)
        end = (self._heard + len(self._waiting)) / self.rate
        for event in self.feed(np.zeros(self._window, np.int16)):
            yield event._replace(time=min(event.time, end))

    def _step(self, hop: Samples) -> tuple[str, float] | None:
        self._ring.push(hop)
        self._heard += len(hop)
        if not self.gate(hop):
            return self._smoother(None)
        self.windows += 1
        return self._smoother(self._classify(self._ring.window()))
