"""Charts as SVG, written by hand: a board has no matplotlib, and a page with them needs no other file."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

WIDTH = 720
MOST_TICKS = 6
COLOURS = ("#1f6feb", "#d9730d", "#1a7f37", "#8250df", "#cf222e", "#57606a")
INK, QUIET, LINE = "#1c2128", "#59636e", "#d8dee4"

Points = Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A bar; `reach`, if given, is where a thin line goes on to."""

    label: str
    value: float
    reach: float | None = None
    colour: str = COLOURS[0]


def bars(what: str, rows: Sequence[Bar], unit: str) -> str:
    """Horizontal bars on one logarithmic axis, so that microseconds and milliseconds can both be seen.

    Args:
        what: the chart in words, for those who do not see it.
        rows: from top to bottom; values above 0.
    """
    left, right, row_height, top = 250, 130, 26, 8
    bottom = top + row_height * len(rows)
    axis = _Axis([each for row in rows for each in (row.value, row.reach or row.value)], left, WIDTH - right, zero=True)
    parts = [_line(axis(tick), top, axis(tick), bottom) for tick in axis.ticks]
    parts += [_text(axis(tick), bottom + 16, number(tick), "middle", QUIET) for tick in axis.ticks]
    for at, row in enumerate(rows):
        y, end = top + row_height * at, axis(row.value)
        parts.append(_text(left - 8, y + 17, row.label, "end"))
        parts.append(f'<rect x="{left}" y="{y + 5}" width="{end - left:.1f}" height="16" fill="{row.colour}"/>')
        if row.reach is not None:
            parts.append(_line(end, y + 13, axis(row.reach), y + 13, row.colour))
            end = max(end, axis(row.reach))
        parts.append(_text(end + 6, y + 17, f"{number(row.value)} {unit}"))
    return _svg(what, bottom + 24, parts)


def log_log(what: str, lines: Mapping[str, Points], x: str, y: str, fits: Mapping[str, Points] | None = None) -> str:
    """Lines on two logarithmic axes.

    Args:
        lines: name → points (x, y), all above 0.
        x, y: what the axes show.
        fits: name of a line → points of a straight line beside it, drawn dashed.
    """
    left, top, bottom, right = 80, 12, 300, 170
    across = _Axis([point[0] for points in lines.values() for point in points], left, WIDTH - right)
    up = _Axis([point[1] for points in lines.values() for point in points], bottom, top)
    parts = [_line(across(tick), top, across(tick), bottom) for tick in across.ticks]
    parts += [_line(left, up(tick), WIDTH - right, up(tick)) for tick in up.ticks]
    parts += [_text(across(tick), bottom + 18, number(tick), "middle", QUIET) for tick in across.ticks]
    parts += [_text(left - 6, up(tick) + 4, number(tick), "end", QUIET) for tick in up.ticks]
    parts += [_text((left + WIDTH - right) / 2, bottom + 40, x, "middle"), _text(4, top + 2, y)]
    names = sorted(lines, key=lambda name: -lines[name][-1][1])
    free: float = top
    for at, name in enumerate(lines):
        colour = COLOURS[at % len(COLOURS)]
        parts.append(_path(lines[name], across, up, f'stroke="{colour}" stroke-width="2"'))
        parts += [f'<circle cx="{across(a):.1f}" cy="{up(b):.1f}" r="3" fill="{colour}"/>' for a, b in lines[name]]
        if fits and name in fits:
            parts.append(_path(fits[name], across, up, f'stroke="{colour}" stroke-dasharray="5 4"'))
    for name in names:  # from the top, each below the one before
        free = max(free + 16, up(lines[name][-1][1]) + 4)
        colour = COLOURS[list(lines).index(name) % len(COLOURS)]
        parts.append(_text(WIDTH - right + 8, free, name, ink=colour))
    return _svg(what, max(bottom + 52, free + 8), parts)


def stacks(what: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], unit: str) -> str:
    """A bar for each row, made up of named parts on a linear axis from 0; a legend tells the parts."""
    left, right, row_height, top = 250, 130, 34, 8
    longest = max(sum(value for _, value in parts) for _, parts in rows)
    drawn = []
    for at, (label, parts) in enumerate(rows):
        x, y = float(left), top + row_height * at
        drawn.append(_text(left - 8, y + 19, label, "end"))
        for index, (name, value) in enumerate(parts):
            width = (WIDTH - left - right) * value / longest
            title = f"<title>{html.escape(name)}: {number(value)} {unit}</title>"
            fill = COLOURS[index % len(COLOURS)]
            drawn.append(f'<rect x="{x:.1f}" y="{y + 5}" width="{width:.1f}" height="20" fill="{fill}">{title}</rect>')
            x += width
        drawn.append(_text(x + 6, y + 19, f"{number(sum(value for _, value in parts))} {unit}"))
    y = top + row_height * len(rows)
    for index, (name, value) in enumerate(rows[0][1]):
        y += 18
        drawn.append(f'<rect x="{left}" y="{y - 10}" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
        of_several = "" if len(rows) > 1 else f" {number(value)} {unit}"
        drawn.append(_text(left + 18, y, f"{name}{of_several}"))
    return _svg(what, y + 10, drawn)


def number(value: float) -> str:
    """Three digits, as people write them: 0.25, 47.1, 1,480."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Axis:
    """A logarithmic axis from pixel `start` to pixel `end`, with its ticks at powers of ten.

    With `zero`, it starts at a power of ten well below the values, so that the smallest bar has a length too.
    """

    def __init__(self, values: Sequence[float], start: float, end: float, zero: bool = False) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        self._low = math.floor(low - 0.5) if zero else low - 0.05 * max(high - low, 1.0)
        self._high = high + 0.05 * max(high - self._low, 1.0)
        self._start, self._end = start, end
        powers = range(math.ceil(self._low), math.floor(self._high) + 1)
        self.ticks = [10.0**power for power in powers[:: max(1, math.ceil(len(powers) / MOST_TICKS))]]
        if len(self.ticks) < 2:  # less than a decade
            decades = range(math.floor(self._low), math.ceil(self._high) + 1)
            finer = [step * 10.0**power for power in decades for step in (1, 2, 5)]
            self.ticks = [tick for tick in finer if self._low <= math.log10(tick) <= self._high]

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _path(points: Points, across: _Axis, up: _Axis, how: str) -> str:
    at = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    return f'<polyline points="{at}" fill="none" {how}/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = LINE) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", ink: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">{html.escape(text)}</text>'


def _svg(what: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" '
        f'aria-label="{html.escape(what)}" font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )
