"""A picture of a motion: the path that was drawn, and what the sensors measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.reports import svg
from edge_meta.reports.svg import COLOURS, INK

SIDE, EDGE = 96.0, 4.0  # pixels
PATH = 58.0  # pixels, the height of the path; the channels are below


def motion_picture(drawn: NDArray[np.floating], readings: NDArray[np.floating]) -> bytes:
    """Return a square SVG file's content.

    Args:
        drawn: the path (n, 2), to the right and up; it begins at the dot.
        readings: (steps, channels); each of the three of a sensor is drawn to the same scale, without its mean.
    """
    inner = PATH - 2 * EDGE
    low, size = drawn.min(axis=0), float(np.ptp(drawn, axis=0).max())
    points = (drawn - low) / size * inner
    left = (SIDE - float(np.ptp(points[:, 0]))) / 2
    pixels = [(left + x, PATH - EDGE - y) for x, y in points.tolist()]
    parts = [
        f'<rect width="{SIDE:.0f}" height="{SIDE:.0f}" fill="#fff"/>',
        svg.path(pixels, f'stroke="{INK}" stroke-width="2" stroke-linejoin="round"'),
        svg.dot(*pixels[0], COLOURS[4]),
    ]
    half = (SIDE - PATH) / 4
    for sensor, first in enumerate(range(0, readings.shape[1], 3)):
        of_sensor: NDArray[Any] = readings[:, first : first + 3] - readings[:, first : first + 3].mean(axis=0)
        scaled = of_sensor / (np.abs(of_sensor).max() + 1e-9) * (half - 1)
        middle = PATH + (2 * sensor + 1) * half
        across = np.linspace(EDGE, SIDE - EDGE, len(scaled))
        for axis, column in enumerate(scaled.T):
            line = list(zip(across.tolist(), (middle - column).tolist(), strict=True))
            parts.append(svg.path(line, f'stroke="{COLOURS[axis]}" stroke-width="0.8"'))
    return svg.drawing("A path, accelerations and turn rates", SIDE, parts, SIDE).encode()
