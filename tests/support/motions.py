"""Motions of a phone that is waved, alone or one after the other with rests between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 100  # Hz


def motion(kind: int, take: int, steps: int = 145) -> NDArray[np.float32]:
    """A phone that goes round, to the side and back, or to and fro four times; each take of another size, speed and hold."""
    rng = np.random.default_rng((kind, take))
    part = np.linspace(0, 1, steps) ** rng.uniform(0.9, 1.1)
    path = (
        np.stack([np.cos(2 * np.pi * part), np.sin(2 * np.pi * part)], axis=1),
        np.stack([np.sin(np.pi * part), 0 * part], axis=1),
        np.stack([np.sin(8 * np.pi * part), 2 * part], axis=1),
    )[kind] * rng.uniform(0.12, 0.2)
    each = rng.uniform(1.2, 1.8) / steps
    acceleration = np.gradient(np.gradient(path, each, axis=0), each, axis=0)
    turns = np.gradient(path, each, axis=0) * 2.0
    x, y = acceleration.T
    felt = np.stack([x, y * 0.8 + 6, y * 0.6 + 8, turns[:, 1], 0 * x, -turns[:, 0]], axis=1)
    lean = np.linalg.qr(np.eye(3) + rng.normal(0, 0.05, (3, 3)))[0]
    lean *= np.sign(np.diag(lean))
    return (np.hstack([felt[:, :3] @ lean, felt[:, 3:] @ lean]) + rng.normal(0, 0.05, (steps, 6))).astype(np.float32)


def stream(
    made: Sequence[tuple[int, float]], rest: float = 1.5, first_take: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[float, float]]]:
    """Motions after each other at `RATE`, in a hand that rests before each and at the end.

    Args:
        made: the kind of each motion, and its length in seconds.

    Returns:
        Times (n,) in seconds, readings (n, 6), and the start and end of each motion.
    """
    still = np.array([0, 6, 8, 0, 0, 0]) + np.random.default_rng(0).normal(0, 0.05, (round(rest * RATE), 6))
    parts: list[NDArray[Any]] = [still]
    spans, count = [], len(still)
    for take, (kind, seconds) in enumerate(made, first_take):
        moved = motion(kind, take, round(seconds * RATE))
        spans.append((count / RATE, (count + len(moved)) / RATE))
        parts += [moved, still]
        count += len(moved) + len(still)
    values = np.concatenate(parts)
    return np.arange(len(values)) / RATE, values.astype(np.float64), spans


def csv(times: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    """A table of a stream, with seconds and the channels of the shipped bundle."""
    rows = [",".join(f"{number:.4f}" for number in (time, *row)) for time, row in zip(times, values, strict=True)]
    return "\n".join(["seconds,ax,ay,az,gx,gy,gz", *rows, ""])
