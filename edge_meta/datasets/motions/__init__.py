"""Motions: shapes drawn in the air, as a phone's sensors would record them, computed from a seed, where nobody recorded any.

All were told how to hold the phone. Each person moves and turns it in a way of their own, and draws no two shapes at one
speed.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from edge_meta.datasets.motions.paths import Values, bent
from edge_meta.datasets.motions.sensors import CHANNELS, GRAVITY, People, grips, readings
from edge_meta.datasets.motions.shapes import SHAPES, path

__all__ = ["CHANNELS", "DECIMALS", "SHAPES", "Motion", "motion", "table"]

SLOPPY = 0.6  # of 0.15 to 1 that the encoder has learned from
TURNED = 0.15  # radians about each axis by which one person holds the phone otherwise from time to time
DECIMALS = 4  # of readings, about what sensors resolve


class Motion(NamedTuple):
    """A recorded motion.

    Attributes:
        drawn: the path of the hand, (POINTS, 2), to the right and up.
        readings: m/s² and rad/s, (STEPS, 6), in the order of `CHANNELS`, to `DECIMALS`.
        seconds: it takes.
    """

    drawn: Values
    readings: Values
    seconds: float


def motion(shape: str, person: int, seed: int = 0) -> Motion:
    """Record a person who draws a shape. The same arguments give the same motion on one machine.

    Args:
        shape: one of `SHAPES`.
        person: a number from 0; the same one moves alike in all shapes.
    """
    maker = People.draw(np.random.default_rng((seed, person)), 1, paused=True)
    maker.grip = grips(np.random.default_rng(seed), 1)
    rng = np.random.default_rng((seed, zlib.crc32(shape.encode()), person))
    now = maker.again(np.zeros(1, np.intp), TURNED, SLOPPY, rng)
    drawn = bent(path(shape)[None], 0.3 + SLOPPY, rng)
    made = readings(drawn, now, GRAVITY, SLOPPY, rng)
    return Motion(drawn[0], np.round(made[0], DECIMALS), float(now.seconds[0]))


def table(made: Motion) -> str:
    """Write a motion as a .csv table: a time in seconds, and the channels."""
    times = np.linspace(0, made.seconds, len(made.readings))
    rows = [
        f"{time:.4f}," + ",".join(f"{value:.{DECIMALS}f}" for value in values)
        for time, values in zip(times, made.readings, strict=True)
    ]
    return "\n".join([f"t,{','.join(CHANNELS)}", *rows, ""])
