"""Draw paths to make motions of: strokes of digits, and random curves, of which there is no end.

The strokes are those of the magic-wand data, or one of these turned, mirrored or drawn backwards.
"""

from __future__ import annotations

from functools import cache as once

import numpy as np

from edge_meta.datasets import cache
from edge_meta.datasets.motions.paths import Values, evenly, smoothed, turn

Generator = np.random.Generator


@once
def strokes() -> dict[int, Values]:
    """The magic-wand strokes by digit: paths (strokes, POINTS, 2), to the right and up."""
    archive = np.load(cache.folder() / "imu_gestures" / "wand.npz")
    found: dict[int, list[Values]] = {}
    for stroke, length, digit in zip(archive["x"], archive["length"], archive["y"], strict=True):
        path = stroke[:length].astype(np.float64)
        path = smoothed(path[None], np.array([max(1.0, length / 40)]))[0]
        found.setdefault(int(digit), []).append(evenly(path))
    return {digit: np.stack(paths) for digit, paths in sorted(found.items())}


def random_curve(generator: Generator, each: int) -> Values:
    """A new gesture, drawn `each` times: paths (each, POINTS, 2)."""
    kind = generator.random()
    if kind < 0.12:  # a Lissajous figure
        at = np.linspace(0, 2 * np.pi * generator.choice([0.5, 1.0, 1.5, 2.0]), 80)
        across, along = generator.integers(1, 4, 2)
        phase = generator.uniform(0, 2 * np.pi, 2)
        points = np.stack(
            [np.sin(across * at + phase[0]), generator.uniform(0.4, 1) * np.sin(along * at + phase[1])], axis=1
        )
        return np.stack([evenly(points)] * each)
    count = int(generator.integers(3, 9))
    if kind < 0.6:  # turns on and on, mostly in one direction, as letters and digits do
        bends = (
            generator.uniform(0.4, 2.3, count) * np.where(generator.random(count) < 0.8, 1, -1) * generator.choice([-1, 1])
        )
        heading = generator.uniform(0, 2 * np.pi) + np.cumsum(bends)
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * generator.uniform(0.4, 1.5, (count, 1))
    else:
        steps = generator.normal(size=(count, 2))
    points = np.cumsum(steps, axis=0)
    points -= points.mean(axis=0)
    points /= np.ptp(points, axis=0).max() + 1e-9
    width = generator.choice([1.0, 2.5, 4.5])  # with corners, or without
    at = np.linspace(0, count - 1, 12 * count)
    hit = points + generator.normal(0, 0.06, (each, count, 2))
    lines = np.stack([[np.interp(at, np.arange(count), column) for column in one.T] for one in hit]).transpose(0, 2, 1)
    return np.stack([evenly(path) for path in smoothed(lines, width)])


def altered_digit(digits: dict[int, Values], generator: Generator, each: int) -> Values:
    """A digit, or a gesture made of one by a turn, a mirror or time: paths (each, POINTS, 2) of different hands."""
    paths = digits[int(generator.choice(list(digits)))]
    paths = paths[generator.choice(len(paths), each, replace=len(paths) < each)]
    if generator.random() < 0.35:
        return paths
    if generator.random() < 0.5:
        paths = paths[:, ::-1]
    if generator.random() < 0.5:
        paths = paths * np.array([-1, 1])
    angle = generator.integers(4) * np.pi / 2
    turned: Values = paths @ turn(np.array([angle]))[0].T
    return turned
