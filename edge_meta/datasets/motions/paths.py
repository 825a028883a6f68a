"""Paths of a hand: even ones, bent as other hands draw them, and where on them the hand is at which time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 128  # of a motion
POINTS = 96  # of a path

Values = NDArray[np.float64]


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


def waves(generator: np.random.Generator, shape: tuple[int, int, int], width: float) -> Values:
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


def turn(angles: Values) -> Values:
    """Matrices (n, 2, 2) that turn by angles (n,)."""
    return np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, 2, 2)


def bent(paths: Values, amount: float, generator: np.random.Generator) -> Values:
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


def arrivals(paths: Values, pauses: Values, sloppy: float, generator: np.random.Generator) -> Values:
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
