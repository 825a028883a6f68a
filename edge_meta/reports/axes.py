"""Axes of charts: from values to pixels, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from edge_meta.reports import svg

MOST_TICKS = 6


class Axis(Protocol):
    """Gives the pixel of a value, and the values of its ticks."""

    ticks: Sequence[float]

    def __call__(self, value: float) -> float: ...


class LogAxis:
    """A logarithmic axis from pixel `start` to pixel `end`, with ticks at powers of ten.

    With `zero`, it starts at a power of ten well below the values, so that the smallest bar has a length too.
    """

    def __init__(self, values: Sequence[float], start: float, end: float, zero: bool = False) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        self._low = math.floor(low - 0.5) if zero else low - 0.05 * max(high - low, 1.0)
        self._high = high + 0.05 * max(high - self._low, 1.0)
        self._start, self._end = start, end
        powers = range(math.ceil(self._low), math.floor(self._high) + 1)
        self.ticks: Sequence[float] = [10.0**power for power in powers[:: max(1, math.ceil(len(powers) / MOST_TICKS))]]
        if len(self.ticks) < 2:  # less than a decade
            decades = range(math.floor(self._low), math.ceil(self._high) + 1)
            finer = [step * 10.0**power for power in decades for step in (1, 2, 5)]
            self.ticks = [tick for tick in finer if self._low <= math.log10(tick) <= self._high]

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


class LinearAxis:
    """A linear axis from pixel `start` to pixel `end`, with ticks at multiples of 1, 2 or 5 times a power of ten."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        if low == high:
            margin = 0.5 * abs(low) or 0.5
            low, high = low - margin, high + margin
        span = high - low
        self._low, self._high = low - 0.05 * span, high + 0.05 * span
        self._start, self._end = start, end
        power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * MOST_TICKS >= span)
        self.ticks: Sequence[float] = [
            multiple * step for multiple in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)
        ]

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)


class Frame(NamedTuple):
    """The pixels that a plot with two axes lies between."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """Height of a drawing with the frame and what is written below it."""
        return self.bottom + 52


def grid(frame: Frame, across: Axis, up: Axis, x: str, y: str, labels: Mapping[float, str] | None = None) -> list[str]:
    """Draw the ticks of two axes, and write what the axes show.

    Args:
        labels: value → text in place of the horizontal axis's ticks.
    """
    left, top, right, bottom = frame
    labels = {tick: svg.number(tick) for tick in across.ticks} if labels is None else labels
    return [
        *(svg.line(across(value), top, across(value), bottom) for value in labels),
        *(svg.line(left, up(tick), right, up(tick)) for tick in up.ticks),
        *(svg.text(across(value), bottom + 18, label, "middle", svg.QUIET) for value, label in labels.items()),
        *(svg.text(left - 6, up(tick) + 4, svg.number(tick), "end", svg.QUIET) for tick in up.ticks),
        svg.text((left + right) / 2, bottom + 40, x, "middle"),
        svg.text(4, top + 2, y),
    ]
