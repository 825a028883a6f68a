"""The readings of a phone's sensors while it draws a path in the air: accelerations and turn rates in six axes.

A hand draws the path: slower in bends (the two-thirds power law, Lacquaniti et al. 1983), from rest to rest, with a pause
before and after. The phone moves with the hand and turns with the wrist, elbow or shoulder. Its owner holds it in one way or
another. The accelerometer measures gravity, too; all sensors have an offset, drift and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.motions.paths import STEPS, Values, arrivals, smoothed, waves

CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")  # m/s² and rad/s
GRAVITY = 9.81  # m/s²


def rotations(vectors: Values) -> Values:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / (angle[..., 0] + 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    turned: Values = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turned


def rotated(motions: NDArray[np.floating], vectors: Values) -> Values:
    """Motions (n, STEPS, 6) in the axes of phones that are held otherwise by rotation vectors, (3,) or (n, 3)."""
    turns = rotations(vectors)
    return np.concatenate([motions[..., :3] @ turns, motions[..., 3:] @ turns], axis=2)


def grips(generator: np.random.Generator, count: int) -> Values:
    """Ways to hold a phone: matrices (count, 3, 3) from its axes to the room's (right, forward, up)."""
    upright = np.zeros((count, 3))
    upright[:, 0] = generator.uniform(-0.1, 1.7, count)  # from the screen up to the screen towards the face
    grip = rotations(upright) @ rotations(generator.normal(0, 0.3, (count, 3)))
    anyhow = generator.random(count) < 0.2
    grip[anyhow] = rotations(generator.normal(0, 2.0, (int(anyhow.sum()), 3)))
    return grip


@dataclass
class People:
    """The makers of n motions; one person's are alike.

    Attributes:
        grip: see `grips`, (n, 3, 3).
        wrist: radians of turn about the room's axes by metres to the right and up, (n, 3, 2).
        size: of paths, metres, (n,).
        seconds: of the whole series, (n,).
        pauses: shares of time before and after, (n, 2).
    """

    grip: Values
    wrist: Values
    size: Values
    seconds: Values
    pauses: Values

    @classmethod
    def draw(cls, generator: np.random.Generator, count: int, paused: bool) -> People:
        """New people."""
        pointing = np.array([[0, 1.0], [0, 0], [-1.0, 0]])  # to the side is about up, and up is about right, backwards
        pointing = pointing * np.array([1, 1, -1.0])[:, None]
        lever = np.exp(generator.uniform(np.log(0.3), np.log(7.0), (count, 1, 1)))  # radians a metre
        wrist = pointing * lever + generator.normal(0, 0.25, (count, 3, 2)) * lever + generator.normal(0, 0.3, (count, 3, 2))
        return cls(
            grips(generator, count), wrist, np.exp(generator.uniform(np.log(0.08), np.log(0.5), count)),
            np.exp(generator.uniform(np.log(0.8), np.log(3.5), count)),
            generator.uniform(0, 0.3 if paused else 0.05, (count, 2)),
        )  # fmt: skip

    def again(self, rows: NDArray[np.intp], turned: float, sloppy: float, generator: np.random.Generator) -> People:
        """The people of `rows`, who do nothing twice in the same way, and hold the phone otherwise by `turned` radians."""
        count = len(rows)
        return People(
            self.grip[rows] @ rotations(generator.normal(0, turned, (count, 3))),
            self.wrist[rows] * np.exp(generator.normal(0, 0.15 * sloppy, (count, 1, 1)))
            + generator.normal(0, 0.25 * sloppy, (count, 3, 2)),
            self.size[rows] * np.exp(generator.normal(0, 0.2 * sloppy, count)),
            self.seconds[rows] * np.exp(generator.normal(0, 0.2 * sloppy, count)),
            np.clip(self.pauses[rows] + generator.normal(0, 0.06 * sloppy, (count, 2)), 0, 0.4),
        )


def readings(paths: Values, people: People, gravity: float, sloppy: float, generator: np.random.Generator) -> Values:
    """Readings (n, STEPS, 6) in m/s² and rad/s on paths (n, POINTS, 2), to the right and up.

    Args:
        gravity: m/s² that accelerations contain; 0 where the phone has taken it out.
    """
    count = len(paths)
    size, each = people.size[:, None, None], people.seconds[:, None, None] / STEPS
    place = arrivals(paths, people.pauses, sloppy, generator) * size
    depth = waves(generator, (count, STEPS, 1), 10.0) * 0.1 * sloppy * size * generator.uniform(0, 1, (count, 1, 1))
    depth += place @ generator.normal(0, 0.2 * sloppy, (count, 2, 1))  # the plane is not quite upright
    room = np.concatenate([place[..., :1], depth, place[..., 1:]], axis=2)  # right, forward, up
    acceleration = np.gradient(np.gradient(room, axis=1), axis=1) / each**2
    late = smoothed(place, generator.uniform(0.5, 4.0, count))
    turning = np.einsum("tij,tsj->tsi", people.wrist, late)
    turning += waves(generator, (count, STEPS, 3), 12.0) * sloppy * generator.uniform(0, 0.2, (count, 1, 1))
    turning *= np.minimum(1, 1.4 / (np.abs(turning).max(axis=(1, 2), keepdims=True) + 1e-9))
    axes = rotations(turning) @ people.grip[:, None]  # from the phone's axes to the room's
    felt = np.einsum("btij,bti->btj", axes, acceleration + np.array([0, 0, gravity]))
    between = np.einsum("btji,btjk->btik", axes[:, :-1], axes[:, 1:])
    rate = np.stack([between[..., 2, 1] - between[..., 1, 2], between[..., 0, 2] - between[..., 2, 0],
                     between[..., 1, 0] - between[..., 0, 1]], axis=2) / (2 * each)  # fmt: skip
    rate = np.concatenate([rate, rate[:, -1:]], axis=1)
    drift = np.linspace(-0.5, 0.5, STEPS)[:, None] * generator.normal(0, 1, (count, 1, 6))
    noise = generator.normal(0, 1, (count, STEPS, 6)) * np.exp(generator.uniform(-1.5, 1.0, (count, 1, 1)))
    noise += generator.normal(0, 1, (count, 1, 6)) + drift
    measured: Values = np.concatenate([felt, rate], axis=2) + noise * np.repeat([0.12, 0.03], 3)
    return measured
