"""Charts of learning on linear axes: a curve with its 95 % intervals, and accuracies by one variable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edge_meta.evaluation.interval import Interval
from edge_meta.reports import svg
from edge_meta.reports.axes import Frame, LinearAxis, grid
from edge_meta.reports.svg import COLOURS, WIDTH

CURVE_WIDTH = 460  # two of them fit beside each other on a page


def curve(
    description: str, points: Mapping[int, Interval], x: str, y: str, colour: str = COLOURS[0], zero: bool = False
) -> str:
    """Draw a line through means, and the band of their intervals.

    Args:
        description: the chart in words, for those who do not see it.
        points: x → mean, and the half width of its interval; 0 for none. Means that are not finite are left out.
        x, y: what the axes show.
        zero: whether the vertical axis begins at 0.

    Returns:
        An empty text if there is nothing to draw.
    """
    known = {at: each for at, each in points.items() if math.isfinite(each.mean)}
    if not known:
        return ""
    frame = Frame(56, 24, CURVE_WIDTH - 16, 210)
    ends = {at: _ends(each) for at, each in known.items()}
    across = LinearAxis(list(known), frame.left, frame.right)
    up = LinearAxis([*(each for pair in ends.values() for each in pair), *([0.0] if zero else [])], frame.bottom, frame.top)
    band = [(across(at), up(ends[at][0])) for at in known] + [(across(at), up(ends[at][1])) for at in reversed(known)]
    pixels = [(across(at), up(each.mean)) for at, each in known.items()]
    parts = [
        *grid(frame, across, up, x, y),
        svg.area(band, colour),
        svg.path(pixels, f'stroke="{colour}" stroke-width="1.5"'),
    ]
    if len(pixels) == 1:
        parts.append(svg.dot(*pixels[0], colour))
    return svg.drawing(description, frame.height, parts, CURVE_WIDTH)


def intervals(description: str, rows: Mapping[str, Sequence[Interval]], columns: Sequence[str], x: str, y: str) -> str:
    """Draw means with bars for their intervals, side by side in each column.

    Args:
        description: the chart in words, for those who do not see it.
        rows: name → an interval for each column.
        columns: texts below the horizontal axis.
        x, y: what the axes show.
    """
    frame = Frame(64, 24, WIDTH - 110, 260)
    across = LinearAxis([-0.4, len(columns) - 0.6], frame.left, frame.right)
    up = LinearAxis([end for each in rows.values() for interval in each for end in _ends(interval)], frame.bottom, frame.top)
    parts = grid(frame, across, up, x, y, labels={float(at): column for at, column in enumerate(columns)})
    for index, (name, row) in enumerate(rows.items()):
        colour = COLOURS[index % len(COLOURS)]
        for at, interval in enumerate(row):
            # Values on each other, as when quantization costs nothing, can both be seen side by side.
            middle = across(at + 0.16 * (index - (len(rows) - 1) / 2))
            low, high = (up(end) for end in _ends(interval))
            parts.append(svg.line(middle, low, middle, high, colour))
            parts += [svg.line(middle - 4, end, middle + 4, end, colour) for end in (low, high)]
            parts.append(svg.dot(middle, up(interval.mean), colour))
        parts.append(svg.dot(frame.right + 16, frame.top + 10 + 18 * index, colour))
        parts.append(svg.text(frame.right + 24, frame.top + 14 + 18 * index, name))
    return svg.drawing(description, frame.height, parts)


def _ends(interval: Interval) -> tuple[float, float]:
    half = interval.ci95 if math.isfinite(interval.ci95) else 0.0
    return interval.mean - half, interval.mean + half
