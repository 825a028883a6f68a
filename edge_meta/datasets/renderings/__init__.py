"""Renderings: pictures of ten things on a table, computed from a seed, where there are no photos.

Each picture has a pose, a distance, a light and a table of its own.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.renderings.renderer import Scene, render
from edge_meta.datasets.renderings.table import PALETTES, Table
from edge_meta.datasets.renderings.things import THINGS

__all__ = ["THINGS", "picture"]

SIZE = 128  # pixels

# Turned by any angle, most things show a side that tells little: the edge of a fish, a mug without its handle.
TURNS = {"fish": (-0.9, 0.9), "duck": (-1.0, 1.0), "mug": (-1.1, 1.1)}
FLAT = ("key", "leaf", "banana")  # seen from higher up


def picture(thing: str, number: int, seed: int = 0, size: int = SIZE) -> NDArray[np.uint8]:
    """Render one picture of a thing, uint8 (size, size, 3). The same arguments give the same picture on one machine.

    Args:
        thing: one of `THINGS`.
        number: of the picture, from 0.
    """
    rng = np.random.default_rng((seed, zlib.crc32(thing.encode()), number))
    pattern = list(PALETTES)[rng.integers(len(PALETTES))]
    table = Table(pattern, int(rng.integers(len(PALETTES[pattern]))), rng.uniform(-0.6, 0.6), int(rng.integers(1000)))
    return render(THINGS[thing], table, _scene(thing, rng), size)


def _scene(thing: str, rng: np.random.Generator) -> Scene:
    low, high = TURNS.get(thing, (-np.pi, np.pi))
    turn = rng.uniform(low, high) + (np.pi if thing in TURNS and thing != "mug" and rng.random() < 0.4 else 0)
    around, above = rng.uniform(-2.2, 2.2), rng.uniform(0.6, 1.15)
    lamp = [np.cos(above) * np.sin(around), np.sin(above), np.cos(above) * np.cos(around)]
    warmth, brightness = rng.uniform(-1, 1), rng.uniform(0.75, 1.15)
    return Scene(
        turn=float(turn),
        height=rng.uniform(0.75, 1.2) if thing in FLAT else rng.uniform(0.42, 0.85),
        away=rng.uniform(2.6, 3.9),
        aim=np.array([rng.uniform(-0.22, 0.22), 0.38 + rng.uniform(-0.12, 0.12), rng.uniform(-0.15, 0.15)], np.float32),
        roll=rng.uniform(-0.12, 0.12),
        lamp=np.array(lamp, np.float32),
        light=np.float32(brightness) * np.array([1.0 + 0.12 * warmth, 1.0, 1.0 - 0.16 * warmth], np.float32),
        sky=np.float32(rng.uniform(0.32, 0.5)) * np.array([0.95, 1.0, 1.08], np.float32),
    )
