"""Make what a phone's sensors feel while it draws a path in the air: accelerations and turn rates in six axes.

A path is a digit of the magic-wand strokes, or a random curve through a few points, of which there is no end. It is drawn
in an upright plane by a hand that slows down in bends (the two-thirds power law, Lacquaniti et al. 1983), rests before and
after, and turns at the wrist as it moves. The phone lies in the hand as its owner holds it. Sensors feel gravity, have an
offset, and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import cache

STEPS = 128
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")  # m/s² and rad/s
POINTS = 96  # of a path
GRAVITY = 9.81

Points = NDArray[np.float64]
"""A path, (POINTS, 2), the same distance apart, about 1 wide."""


def digits() -> dict[int, list[Points]]:
    """The magic-wand strokes by digit, smoothed."""
    archive = np.load(cache.folder() / "imu_gestures" / "wand.npz")
    found: dict[int, list[Points]] = {}
    for stroke, length, digit in zip(archive["x"], archive["length"], archive["y"], strict=True):
        path = stroke[:length].astype(np.float64)
        path[:, 1] *= -1  # up is up
        found.setdefault(int(digit), []).append(evenly(smoothed(path, max(1.0, length / 40))))
    return found


def random_curve(generator: np.random.Generator) -> Points:
    """The points that a new gesture goes through, (3 to 7, 2)."""
    count = generator.integers(3, 8)
    steps = generator.normal(size=(count, 2))
    if generator.random() < 0.4:  # turns on and on in one direction, as many letters do
        angle = generator.uniform(0, 2 * np.pi) + np.cumsum(generator.uniform(0.5, 2.2, count)) * generator.choice([-1, 1])
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * generator.uniform(0.5, 1.5, (count, 1))
    points: Points = np.cumsum(steps, axis=0)
    return points


def through(points: Points, sharp: bool, generator: np.random.Generator) -> Points:
    """A curve through points that are hit more or less, with corners or without."""
    size = np.ptp(points, axis=0).max() + 1e-9
    points = points + generator.normal(0, 0.07 * size, points.shape)
    at = np.linspace(0, len(points) - 1, 12 * len(points))
    path = np.stack([np.interp(at, np.arange(len(points)), column) for column in points.T], axis=1)
    return evenly(smoothed(path, 1.5 if sharp else 4.5))


def smoothed(path: Points, width: float) -> Points:
    """The path after a Gaussian of that width in points; its ends stay."""
    reach = int(4 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def evenly(path: Points) -> Points:
    """The path at POINTS points that are the same distance apart, 1 wide or high, around zero."""
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0, distance[-1], POINTS)
    even = np.stack([np.interp(at, distance + 1e-12 * np.arange(len(distance)), column) for column in path.T], axis=1)
    even -= (even.max(axis=0) + even.min(axis=0)) / 2
    scaled: Points = even / (np.ptp(even, axis=0).max() + 1e-9)
    return scaled


def bent(path: Points, generator: np.random.Generator) -> Points:
    """The path as another hand draws it: leaning, narrower, bent a little."""
    turn = generator.normal(0, 0.15)
    lean = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    stretch = np.diag(np.exp(generator.normal(0, 0.15, 2))) + np.array([[0, generator.normal(0, 0.15)], [0, 0]])
    waves = generator.normal(0, 0.03, (3, 2))
    at = np.linspace(0, 1, len(path))[:, None]
    wave = sum(amount * np.cos(np.pi * number * at) for number, amount in enumerate(waves, 1))
    other: Points = path @ (lean @ stretch).T + wave
    return other


def in_time(path: Points, generator: np.random.Generator) -> Points:
    """Where the hand is at STEPS equal times, (STEPS, 2): slower in bends, at rest before and after."""
    step = np.diff(path, axis=0)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    bend = np.abs(np.gradient(smoothed(heading[:, None], 2.0)[:, 0])) * POINTS
    slow = (bend + 1.5) ** generator.uniform(0.15, 0.45)  # time for each piece
    slow *= np.exp(smoothed(generator.normal(0, 0.9, (len(slow), 1)), 12.0)[:, 0])
    edge = np.linspace(0, np.pi, len(slow))
    slow /= 0.15 + np.sin(edge) ** 0.5
    arrival = np.concatenate([[0], np.cumsum(slow)]) / slow.sum()
    before, after = generator.uniform(0, 0.14, 2)
    now = np.clip((np.linspace(0, 1, STEPS) - before) / (1 - before - after), 0, 1)
    place = np.stack([np.interp(now, arrival, column) for column in path.T], axis=1)
    return smoothed(place, generator.uniform(3.0, 6.0))


def rotations(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / (angle[..., 0] + 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    turned: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turned


@dataclass
class Person:
    """A way to hold and to move a phone.

    Attributes:
        held: rotation matrix from the phone's axes to the room's (right, forward, up).
        wrist: radians of turn about each of the phone's axes, by metres to the right and up.
        size: of a path, metres. seconds: for it.
        turns: whether the phone has a gyroscope. feels_gravity: whether its accelerations contain gravity.
    """

    held: NDArray[np.float64]
    wrist: NDArray[np.float64]
    size: float
    seconds: float
    turns: bool
    feels_gravity: bool

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Person:
        """Someone new."""
        if generator.random() < 0.15:
            held = rotations(generator.normal(0, 2.0, 3))  # any way at all
        else:  # the screen towards the face, more or less upright
            held = rotations(np.array([generator.uniform(0.0, 1.7), 0, 0])) @ rotations(generator.normal(0, 0.3, 3))
        # A pointing wrist turns to the side (about up) and up (about right); how much differs, and axes are mixed a little.
        pointing = held.T @ np.array([[0, 1.0], [0, 0], [-1.0, 0]]) * generator.uniform(0.5, 4.5)
        return cls(
            held, pointing + generator.normal(0, 0.7, (3, 2)), np.exp(generator.uniform(np.log(0.15), np.log(0.5))),
            generator.uniform(0.8, 3.2), bool(generator.random() < 0.85), bool(generator.random() < 0.85),
        )  # fmt: skip

    def moves(self, path: Points, generator: np.random.Generator, turned: float = 0.15) -> NDArray[np.float32]:
        """Give the values of the sensors on a path, (STEPS, 6).

        Args:
            turned: standard deviation of the angle in radians by which the phone is held otherwise each time.
        """
        size, seconds = self.size * np.exp(generator.normal(0, 0.15)), self.seconds * np.exp(generator.normal(0, 0.15))
        place = in_time(path, generator) * size
        each = seconds / STEPS
        sideways = smoothed(generator.normal(0, 1.0, (STEPS, 1)), 10.0) * 0.1 * size
        room = np.concatenate([place[:, :1], sideways, place[:, 1:]], axis=1)  # right, forward, up
        acceleration = np.gradient(np.gradient(room, each, axis=0), each, axis=0)
        held = self.held @ rotations(generator.normal(0, turned, 3))
        wander = smoothed(generator.normal(0, 1.0, (STEPS, 3)), 12.0) * generator.uniform(0.0, 0.25)
        turning = place @ (self.wrist + generator.normal(0, 0.2, (3, 2))).T + wander
        axes = held @ rotations(turning)
        gravity = np.array([0, 0, GRAVITY]) if self.feels_gravity else np.zeros(3)
        felt = np.einsum("tij,ti->tj", axes, acceleration + gravity)
        between = np.einsum("tji,tjk->tik", axes[:-1], axes[1:])
        rate = np.stack([between[:, 2, 1] - between[:, 1, 2], between[:, 0, 2] - between[:, 2, 0],
                         between[:, 1, 0] - between[:, 0, 1]], axis=1) / (2 * each)  # fmt: skip
        rate = np.concatenate([rate, rate[-1:]]) * self.turns
        felt = felt + generator.normal(0, 0.1, 3) + generator.normal(0, generator.uniform(0.02, 0.3), felt.shape)
        noise = generator.normal(0, 0.02, 3) + generator.normal(0, generator.uniform(0.005, 0.08), rate.shape)
        return np.concatenate([felt, rate + noise * self.turns], axis=1).astype(np.float32)
