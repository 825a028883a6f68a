"""The tables that things lie on: plain, of wood, of stone, or under a cloth of checks or stripes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_meta.types import Array

# Two colours each: red, green and blue in hexadecimal digits.
PALETTES = {
    "plain": ("EDE8DE E5E0D6", "8CA8B8 85A1B0", "DBB399 D6AD99"),
    "wood": ("B88554 946338", "7A4F30 5C3821", "DBBA8A C29C6B"),
    "stone": ("CCCCC9 949496", "5C6166 3D4045", "D9CCB8 B3A18C"),
    "checks": ("F2F0E8 CC403D", "F2F0E8 5C8CBD", "F0EDDB 7AA16B"),
    "stripes": ("F0EBDB 7394A8", "E6D6B3 B38561", "EDEBE6 9E9EA8"),
}


@dataclass(frozen=True)
class Table:
    """A pattern in two colours.

    Attributes:
        palette: an index into the pattern's `PALETTES`.
        angle: of the pattern, in radians.
        seed: of its grain.
    """

    pattern: str
    palette: int
    angle: float
    seed: int

    def colours(self, x: Array, z: Array) -> Array:
        """Colours (n, 3) at places (n,) on the table."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = cos * x + sin * z, cos * z - sin * x
        first, second = (list(bytes.fromhex(code)) for code in PALETTES[self.pattern][self.palette].split())
        share = self._share(u, v).clip(0, 1)[:, None]
        mixed: Array = (np.array(first, np.float32) * (1 - share) + np.array(second, np.float32) * share) / np.float32(255)
        return mixed

    def _share(self, u: Array, v: Array) -> Array:
        """Of the second colour; below 0 and above 1, one of the colours is alone."""
        share = _noise(2 * u, 2 * v, self.seed)
        if self.pattern == "wood":
            plank = np.floor(v / np.float32(0.9))
            grain = _noise(u * np.float32(0.7) + 5 * plank, 14 * v, self.seed) + _noise(3 * u, 40 * v, self.seed + 1) / 2
            gap = np.abs(np.mod(v / np.float32(0.9), 1) - np.float32(0.5)) > np.float32(0.488)
            share = np.maximum(grain * np.float32(0.55) + np.mod(plank * np.float32(0.37), 1) / 3, gap.astype(np.float32))
        elif self.pattern == "stone":
            coarse = _noise(3 * u, 3 * v, self.seed) + _noise(9 * u, 9 * v, self.seed + 1)
            share = coarse * np.float32(0.35) + np.float32(0.3) * _noise(40 * u, 40 * v, self.seed + 2)
        elif self.pattern == "checks":
            share = np.float32(0.5) * (_bands(2 * u) + _bands(2 * v))
        elif self.pattern == "stripes":
            share = _bands(v * np.float32(1.4))
        return share


def _bands(x: Array) -> Array:
    """From 0 to 1 and back, in each unit, with soft edges."""
    bands: Array = np.clip((np.abs(np.mod(x, 1) * 2 - 1) - np.float32(0.5)) * 24 + np.float32(0.5), 0, 1)
    return bands


def _noise(x: Array, y: Array, seed: int) -> Array:
    """Smooth values from 0 to 1 between those of a random grid (Perlin 1985, value noise)."""
    grid = np.random.default_rng(seed).random((64, 64), np.float32)
    left, low = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    s, t = x - left, y - low
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    below = grid[left % 64, low % 64] * (1 - s) + grid[(left + 1) % 64, low % 64] * s
    above = grid[left % 64, (low + 1) % 64] * (1 - s) + grid[(left + 1) % 64, (low + 1) % 64] * s
    mixed: Array = (below * (1 - t) + above * t).astype(np.float32)
    return mixed
