"""Make the readings of a phone's sensors while it draws a path in the air: accelerations and turn rates in six axes.

A path is a digit of the magic-wand strokes, one of these turned, mirrored or drawn backwards, or a random curve, of which
there is no end. A hand draws it: slower in bends (the two-thirds power law, Lacquaniti et al. 1983), from rest to rest,
with a pause before and after. The phone moves with the hand and turns with the wrist, elbow or shoulder. Its owner holds it
in one way or another. The accelerometer measures gravity, too; all sensors have an offset, drift and noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache as once

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import cache

STEPS = 128
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")  # m/s² and rad/s
POINTS = 96  # of a path
GRAVITY = 9.81  # m/s²

Values = NDArray[np.float64]
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


def smoothed(values: Values, width: Values | float) -> Values:
    """Series (n, steps, axes) after a Gaussian of `width` (n,) steps; their ends stay where they are."""
    count = values.shape[1]
    line = np.linspace(0, 1, count)[:, None]
    ends = values[:, :1] + line * (values[:, -1:] - values[:, :1])
    odd = values - ends  # zero at both ends; a Gaussian keeps odd extensions so
    extended = np.concatenate([odd, -odd[:, -2:0:-1]], axis=1)
    frequency = np.fft.rfftfreq(extended.shape[1])[:, None]
    gain = np.exp(-2 * (np.pi * frequency * np.reshape(width, (-1, 1, 1))) ** 2)
    return np.fft.irfft(np.fft.rfft(extended, axis=1) * gain, extended.shape[1], axis=1)[:, :count] + ends


def waves(generator: Generator, shape: tuple[int, int, int], width: float) -> Values:
    """Random smooth series of unit variance, (n, steps, axes)."""
    made = smoothed(generator.normal(size=shape), width)
    scaled: Values = made / (made.std(axis=1, keepdims=True) + 1e-9)
    return scaled


def evenly(path: Values) -> Values:
    """A path at POINTS points that are the same distance apart, 1 wide or high, around zero."""
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1) + 1e-9)])
    at = np.linspace(0, distance[-1], POINTS)
    even = np.stack([np.interp(at, distance, column) for column in path.T], axis=1)
    even -= (even.max(axis=0) + even.min(axis=0)) / 2
    scaled: Values = even / (np.ptp(even, axis=0).max() + 1e-9)
    return scaled


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


def turn(angles: Values) -> Values:
    """Matrices (n, 2, 2) that turn by angles (n,)."""
    return np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, 2, 2)


def bent(paths: Values, amount: float, generator: Generator) -> Values:
    """Paths (n, POINTS, 2) as other hands draw them: they lean, are narrower, and bend a little."""
    count = len(paths)
    lean = turn(generator.normal(0, 0.15 * amount, count))
    stretch = np.zeros((count, 2, 2))
    stretch[:, [0, 1], [0, 1]] = np.exp(generator.normal(0, 0.15 * amount, (count, 2)))
    stretch[:, 0, 1] = generator.normal(0, 0.15 * amount, count)
    at = np.linspace(0, 1, POINTS)
    bends = np.cos(np.pi * np.arange(1, 4)[:, None] * at)  # (3, POINTS)
    wavering = np.einsum("nkc,kp->npc", generator.normal(0, 0.03 * amount, (count, 3, 2)), bends)
    drawn: Values = paths @ (lean @ stretch).transpose(0, 2, 1) + wavering
    return drawn


def arrivals(paths: Values, pauses: Values, sloppy: float, generator: Generator) -> Values:
    """Positions (n, STEPS, 2) at equal times on paths: slower in bends, from rest to rest.

    Args:
        pauses: shares of the time before and after, (n, 2).
    """
    count = len(paths)
    step = np.diff(paths, axis=1)
    heading = np.unwrap(np.arctan2(step[..., 1], step[..., 0]), axis=1)
    bend = np.abs(np.gradient(smoothed(heading[..., None], 2.0)[..., 0], axis=1)) * POINTS
    slow = (bend + 1.5) ** (0.3 + sloppy * generator.uniform(-0.2, 0.15, (count, 1)))  # time for each piece
    slow *= np.exp(sloppy * generator.uniform(0, 0.5, (count, 1)) * waves(generator, (count, POINTS - 1, 1), 10.0)[..., 0])
    edge = np.sin(np.linspace(0, np.pi, POINTS - 1)) ** 0.5
    slow /= generator.uniform(0.1, 0.4, (count, 1)) + edge
    arrival = np.concatenate([np.zeros((count, 1)), np.cumsum(slow, axis=1)], axis=1) / slow.sum(axis=1, keepdims=True)
    before, after = pauses[:, :1], pauses[:, 1:]
    now = np.clip((np.linspace(0, 1, STEPS) - before) / (1 - before - after), 0, 1)
    place = np.empty((count, STEPS, 2))
    for one in range(count):
        for axis in range(2):
            place[one, :, axis] = np.interp(now[one], arrival[one], paths[one, :, axis])
    return smoothed(place, generator.uniform(2.0, 5.0, count))


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


def grips(generator: Generator, count: int) -> Values:
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
    def draw(cls, generator: Generator, count: int, paused: bool) -> People:
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

    def again(self, rows: NDArray[np.intp], turned: float, sloppy: float, generator: Generator) -> People:
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


def readings(paths: Values, people: People, gravity: float, sloppy: float, generator: Generator) -> Values:
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
