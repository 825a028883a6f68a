"""Shapes that are drawn in the air, each one stroke of the hand."""

from __future__ import annotations

import numpy as np

from edge_meta.datasets.motions.paths import Values, evenly

# Corners to draw lines between, to the right and up.
CORNERS = {
    "triangle": [(0.5, 1), (1, 0), (0, 0), (0.5, 1)],
    "zigzag": [(0, 1), (1, 1), (0, 0), (1, 0)],
    "tick": [(0, 0.4), (0.3, 0), (1, 1)],
    "square": [(0, 1), (1, 1), (1, 0), (0, 0), (0, 1)],
    "star": [(0.2, 0), (0.5, 1), (0.8, 0), (0, 0.62), (1, 0.62), (0.2, 0)],
    "hook": [(0, 1), (0, 0), (0.7, 0), (0.7, 0.5)],
}


def _around(turns: float, start: float) -> Values:
    """Angles in radians, clockwise from `start`."""
    return start - np.linspace(0, 2 * np.pi * turns, 120)


def _circle() -> Values:
    angle = _around(1.05, np.pi / 2)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _eight() -> Values:
    angle = _around(1.0, 0.0)
    return np.stack([0.5 * np.sin(2 * angle), np.cos(angle)], axis=1)


def _spiral() -> Values:
    angle = _around(2.25, 0.0)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.linspace(0.1, 1, len(angle))[:, None]


def _wave() -> Values:
    across = np.linspace(0, 1, 120)
    return np.stack([across, 0.22 * np.sin(4 * np.pi * across)], axis=1)


SHAPES: dict[str, Values] = {
    "circle": _circle(), "eight": _eight(), "spiral": _spiral(), "wave": _wave(),
    **{name: np.array(corners, np.float64) for name, corners in CORNERS.items()},
}  # fmt: skip
"""Points (n, 2) to the right and up, in the order in which they are drawn."""


def path(shape: str) -> Values:
    """A shape's path (POINTS, 2), at equal distances, 1 wide or high."""
    return evenly(SHAPES[shape])
