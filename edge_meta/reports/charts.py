"""Charts of costs: bars and lines on logarithmic axes, and stacked parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edge_meta.reports import svg
from edge_meta.reports.axes import Frame, LogAxis, grid
from edge_meta.reports.svg import COLOURS, WIDTH, number

Points = Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A bar; a thin line goes on to `upper`, if it is given."""

    label: str
    value: float
    upper: float | None = None
    colour: str = COLOURS[0]


def bars(description: str, rows: Sequence[Bar], unit: str) -> str:
    """Draw horizontal bars on one logarithmic axis, so that microseconds and milliseconds can both be seen.

    Args:
        description: the chart in words, for those who do not see it.
        rows: from top to bottom; values above 0.
    """
    left, right, row_height, top = 250, 130, 26, 8
    bottom = top + row_height * len(rows)
    axis = LogAxis([each for row in rows for each in (row.value, row.upper or row.value)], left, WIDTH - right, zero=True)
    parts = [svg.line(axis(tick), top, axis(tick), bottom) for tick in axis.ticks]
    parts += [svg.text(axis(tick), bottom + 16, number(tick), "middle", svg.QUIET) for tick in axis.ticks]
    for at, row in enumerate(rows):
        y, end = top + row_height * at, axis(row.value)
        parts += [svg.text(left - 8, y + 17, row.label, "end"), svg.bar(left, y + 5, end - left, 16, row.colour)]
        if row.upper is not None:
            parts.append(svg.line(end, y + 13, axis(row.upper), y + 13, row.colour))
            end = max(end, axis(row.upper))
        parts.append(svg.text(end + 6, y + 17, f"{number(row.value)} {unit}"))
    return svg.drawing(description, bottom + 24, parts)


def log_log(description: str, lines: Mapping[str, Points], x: str, y: str, fits: Mapping[str, Points] | None = None) -> str:
    """Draw lines on two logarithmic axes.

    Args:
        description: the chart in words, for those who do not see it.
        lines: name → points (x, y), all above 0.
        x, y: what the axes show.
        fits: name of a line → points of a straight line beside it, drawn dashed.
    """
    frame = Frame(80, 12, WIDTH - 170, 300)
    across = LogAxis([point[0] for points in lines.values() for point in points], frame.left, frame.right)
    up = LogAxis([point[1] for points in lines.values() for point in points], frame.bottom, frame.top)
    parts = grid(frame, across, up, x, y)
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(lines)}
    for name, colour in colours.items():
        pixels = [(across(a), up(b)) for a, b in lines[name]]
        parts.append(svg.path(pixels, f'stroke="{colour}" stroke-width="2"'))
        parts += [svg.dot(*pixel, colour) for pixel in pixels]
        if fits and name in fits:
            fitted = [(across(a), up(b)) for a, b in fits[name]]
            parts.append(svg.path(fitted, f'stroke="{colour}" stroke-dasharray="5 4"'))
    lowest = frame.top
    for name in sorted(lines, key=lambda name: -lines[name][-1][1]):  # from the top, each below the one before
        lowest = max(lowest + 16, up(lines[name][-1][1]) + 4)
        parts.append(svg.text(frame.right + 8, lowest, name, ink=colours[name]))
    return svg.drawing(description, max(frame.height, lowest + 8), parts)


def stacks(description: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], unit: str) -> str:
    """Draw a bar for each row, made up of named parts on a linear axis from 0, and a legend of the parts.

    Args:
        description: the chart in words, for those who do not see it.
        rows: (label, parts), and each part is (name, value).
    """
    left, right, row_height, top = 250, 130, 34, 8
    longest = max(sum(value for _, value in parts) for _, parts in rows)
    drawn = []
    for at, (label, parts) in enumerate(rows):
        x, y = float(left), top + row_height * at
        drawn.append(svg.text(left - 8, y + 19, label, "end"))
        for index, (name, value) in enumerate(parts):
            width = (WIDTH - left - right) * value / longest
            title = f"{name}: {number(value)} {unit}"
            drawn.append(svg.bar(x, y + 5, width, 20, COLOURS[index % len(COLOURS)], title))
            x += width
        drawn.append(svg.text(x + 6, y + 19, f"{number(sum(value for _, value in parts))} {unit}"))
    y = top + row_height * len(rows)
    for index, (name, value) in enumerate(rows[0][1]):
        y += 18
        of_one = f" {number(value)} {unit}" if len(rows) == 1 else ""
        drawn.append(svg.bar(left, y - 10, 12, 12, COLOURS[index % len(COLOURS)]))
        drawn.append(svg.text(left + 18, y, f"{name}{of_one}"))
    return svg.drawing(description, y + 10, drawn)
