"""Make sessions of gestures: what one person, or several, do with one phone."""

from __future__ import annotations

import numpy as np
from motions import altered_digit, random_curve, strokes
from numpy.typing import NDArray

from edge_meta.datasets.motions.paths import STEPS, Values, arrivals, bent
from edge_meta.datasets.motions.sensors import GRAVITY, People, readings
from edge_meta.types import Array

HELD_BACK = (1, 3, 5, 6, 9)  # digits for judging
DIGITS = 0.4  # share of the gestures in training that are made of digits; the others are random curves

Generator = np.random.Generator


def gestures(way: int, each: int, generator: Generator) -> Values:
    """Paths to train on, (way · each, POINTS, 2); those of one gesture lie together."""
    digits = {digit: paths for digit, paths in strokes().items() if digit not in HELD_BACK}
    return np.concatenate([
        altered_digit(digits, generator, each) if generator.random() < DIGITS else random_curve(generator, each)
        for _ in range(way)
    ])  # fmt: skip


def held_back(each: int, generator: Generator) -> tuple[Values, NDArray[np.int32]]:
    """Paths of the digits for judging, (5 · each, POINTS, 2), and which of them each is."""
    paths = [strokes()[digit] for digit in HELD_BACK]
    drawn = [one[generator.choice(len(one), each, replace=False)] for one in paths]
    return np.concatenate(drawn), np.repeat(np.arange(len(HELD_BACK), dtype=np.int32), each)


def session(paths: Values, generator: Generator, several: bool | None = None, turned: float | None = None) -> Array:
    """Motions (n, STEPS, 6) of one session, float32.

    Args:
        paths: (n, POINTS, 2), to the right and up.
        several: whether every motion is somebody else's, rather than all one person's; drawn unless given.
        turned: standard deviation of the angle about each axis, in radians, by which the phone is held otherwise each time;
            drawn unless given.
    """
    count = len(paths)
    several = generator.random() < 0.5 if several is None else several
    paused, sloppy = generator.random() < 0.5, generator.uniform(0.15, 1.0)
    turned = 0.4 * sloppy * generator.uniform(0.3, 1) if turned is None else turned
    people = People.draw(generator, count if several else 1, paused)
    if several and generator.random() < 0.75:  # all were told how to hold it
        people.grip[:] = people.grip[:1]
    rows = np.arange(count) if several else np.zeros(count, np.intp)
    people = people.again(rows, turned, sloppy, generator)
    paths = bent(paths, 0.3 + sloppy if several else sloppy, generator)
    gravity = 0.0 if generator.random() < 0.15 else GRAVITY
    made = readings(paths, people, gravity, sloppy, generator)
    return made.astype(np.float32)


def with_other_sensors(motions: Array, paths: Values, generator: Generator) -> Array:
    """Motions as another device may give them: without one of its sensors, in other units, or as positions alone."""
    kind, motions = generator.random(), motions.copy()
    if kind < 0.06:  # a pen's or a wand's positions in place of accelerations
        count = len(paths)
        place = arrivals(paths, np.zeros((count, 2)), 1.0, generator) * np.exp(generator.normal())
        motions[:] = 0
        motions[..., :2] = place + generator.normal(0, 0.3, 2) + generator.normal(0, 0.01, (count, STEPS, 2))
        motions[..., 1] *= generator.choice([-1, 1])
    elif kind < 0.2:
        motions[..., 3:] = 0
    elif kind < 0.26:
        motions[..., :3] = 0
    elif kind < 0.34:
        motions[..., :3] /= GRAVITY
    elif kind < 0.4:
        motions[..., 3:] *= 180 / np.pi
    return motions
