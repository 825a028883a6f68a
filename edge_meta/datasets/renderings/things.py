"""The things in the renderings, each of a few coloured parts. They stand at the origin, about one unit high or wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.renderings import shapes
from edge_meta.datasets.renderings.shapes import Points, Vector
from edge_meta.types import Array

Colour = Vector | Callable[[Points], Array]
"""Red, green and blue from 0 to 1, or a function from points to such, (n, 3)."""


class Part(NamedTuple):
    """A shape of one material.

    Attributes:
        distance: to its surface.
        gloss: the strength of its highlight, from 0 to 1.
    """

    distance: Callable[[Points], Array]
    colour: Colour
    gloss: float = 0.3


def mixed(a: Vector, b: Vector, share: NDArray[Any]) -> Array:
    """Colours (n, 3) from `a`, where the share is 0, to `b`, where it is 1."""
    weight = np.clip(share, 0, 1)[:, None]
    colours: Array = np.asarray(a, np.float32) * (1 - weight) + np.asarray(b, np.float32) * weight
    return colours


def _mug() -> Sequence[Part]:
    def cup(p: Points) -> Array:
        hollow = shapes.cylinder(p, (0, 0.62, 0), 0.35, 0.55)
        body = np.maximum(shapes.cylinder(p, (0, 0.45, 0), 0.41, 0.45, 0.05), -hollow)
        handle = np.maximum(shapes.torus(p, (0.42, 0.46, 0), 0.21, 0.055, axis=2), np.float32(0.38) - p[0])
        return shapes.joined(body, handle, 0.06)

    def glaze(p: Points) -> Array:
        band = (np.abs(p[1] - 0.5) < 0.1) & (shapes.length(p[0], p[2]) > 0.38) & (p[0] < 0.43)
        inside = shapes.length(p[0], p[2]) < 0.37
        outside = mixed((0.10, 0.28, 0.62), (0.97, 0.95, 0.90), band)
        return np.where(inside[:, None], np.array([0.96, 0.95, 0.92], np.float32), outside)

    return [Part(cup, glaze, 0.6), Part(lambda p: shapes.cylinder(p, (0, 0.4, 0), 0.36, 0.3), (0.20, 0.10, 0.05), 0.5)]


def _apple() -> Sequence[Part]:
    def fruit(p: Points) -> Array:
        across = shapes.length(p[0], p[2])
        narrow = across * (1 + np.float32(0.3) * (np.float32(0.5) - p[1]))  # narrower at the foot
        return shapes.shortened(shapes.length(narrow - np.float32(0.15), p[1] - np.float32(0.4)) - np.float32(0.36), 0.85)

    def skin(p: Points) -> Array:
        around = np.arctan2(p[2], p[0])
        streaks = np.sin(23 * around) + np.sin(37 * around + 2) + np.sin(61 * around + 4)
        return mixed((0.76, 0.05, 0.06), (0.94, 0.78, 0.30), (p[1] - 0.69 + 0.03 * streaks) * 4 + 0.8 * p[0])

    return [
        Part(fruit, skin, 0.6),
        Part(lambda p: shapes.capsule(p, (0, 0.6, 0), (0.07, 0.98, 0.02), 0.025), (0.30, 0.18, 0.08), 0.1),
        Part(
            lambda p: shapes.ellipsoid(shapes.turned(p, 0.5, 2), (0.62, 0.7, 0.02), (0.2, 0.03, 0.1)),
            (0.25, 0.52, 0.14),
            0.3,
        ),
    ]


def _leaf() -> Sequence[Part]:
    def curled(p: Points) -> Points:
        bend = np.float32(0.22) * p[0] * p[0] + np.float32(0.35) * p[2] * p[2]
        return p[0], p[1] - bend - np.float32(0.05), p[2]

    def blade(p: Points) -> Array:
        x, y, z = curled(p)
        # Two arcs that meet in tips; the edge has teeth.
        teeth = np.float32(0.018) * np.sin(26 * x)
        outline = shapes.length(x, np.abs(z) + np.float32(0.62)) - np.float32(1.03) + teeth
        return shapes.shortened(shapes.extruded(outline, y, 0.025, 0.015), 0.7)

    def veins(p: Points) -> Array:
        side = np.abs(np.mod(p[0] * 6.5 - 5 * np.abs(p[2]), 1) - 0.5) < 0.07
        middle = np.abs(p[2]) < 0.022
        shade = mixed((0.13, 0.42, 0.10), (0.35, 0.60, 0.14), np.abs(p[2]) * 2.2)
        return np.where((side | middle)[:, None], np.array([0.66, 0.80, 0.38], np.float32), shade)

    def stalk(p: Points) -> Array:
        return shapes.shortened(shapes.capsule(curled(p), (0.75, 0, 0), (1.12, -0.1, 0), 0.03), 0.8)

    return [Part(blade, veins, 0.35), Part(stalk, (0.45, 0.55, 0.20), 0.2)]


def _key() -> Sequence[Part]:
    def metal(p: Points) -> Array:
        q = shapes.moved(p, (-0.1, 0.09, 0))
        ring = np.abs(shapes.length(q[0] + np.float32(0.52), q[2]) - np.float32(0.24)) - np.float32(0.09)
        bow = shapes.extruded(ring, q[1], 0.07, 0.03)
        shaft = shapes.box(q, (0.35, 0, 0), (0.62, 0.06, 0.06), 0.03)
        collar = shapes.box(q, (-0.13, 0, 0), (0.05, 0.085, 0.11), 0.02)
        bits = [
            shapes.box(q, (at, 0, 0.14), (0.055, 0.05, deep), 0.015) for at, deep in ((0.6, 0.14), (0.76, 0.1), (0.9, 0.15))
        ]
        whole = shapes.joined(shapes.joined(bow, shaft, 0.04), collar, 0.02)
        return np.minimum(whole, np.minimum(np.minimum(bits[0], bits[1]), bits[2]))

    return [Part(metal, (0.83, 0.62, 0.22), 1.0)]


def _fish() -> Sequence[Part]:
    def body(p: Points) -> Array:
        return shapes.ellipsoid(p, (-0.08, 0.5, 0), (0.56, 0.37, 0.2))

    def fins(p: Points) -> Array:
        upper = shapes.ellipsoid(shapes.turned(shapes.moved(p, (0.58, 0.5, 0)), 0.75, 2), (0.14, 0, 0), (0.3, 0.13, 0.05))
        lower = shapes.ellipsoid(shapes.turned(shapes.moved(p, (0.58, 0.5, 0)), -0.75, 2), (0.14, 0, 0), (0.3, 0.13, 0.05))
        back = shapes.ellipsoid(p, (0, 0.84, 0), (0.28, 0.15, 0.045))
        belly = shapes.ellipsoid(p, (0.02, 0.15, 0), (0.17, 0.14, 0.05))
        side = shapes.ellipsoid((p[0], p[1], np.abs(p[2])), (0.1, 0.42, 0.21), (0.16, 0.09, 0.045))
        return np.minimum(np.minimum(np.minimum(upper, lower), np.minimum(back, belly)), side)

    def stripes(p: Points) -> Array:
        at = p[0] + 0.15 * (p[1] - 0.5) ** 2
        white = (np.abs(at + 0.3) < 0.07) | (np.abs(at - 0.08) < 0.075)
        edge = ((np.abs(at + 0.3) < 0.1) | (np.abs(at - 0.08) < 0.105)) & ~white
        colours = mixed((0.96, 0.42, 0.04), (0.97, 0.96, 0.93), white)
        return np.where(edge[:, None], np.array([0.12, 0.08, 0.06], np.float32), colours)

    return [
        Part(body, stripes, 0.5),
        Part(fins, (0.93, 0.33, 0.03), 0.3),
        *_eyes((-0.46, 0.58, 0.13), 0.075),
    ]


def _eyes(centre: Vector, radius: float) -> list[Part]:
    """Two eyes, at a centre and mirrored, which look to the front (−x) and the sides."""
    x, y, z = centre
    ahead = (x - 0.4 * radius, y + 0.1 * radius, z + 0.55 * radius)

    def both(p: Points, at: Vector, size: float) -> Array:
        return shapes.sphere((p[0], p[1], np.abs(p[2])), at, size)

    return [
        Part(lambda p: both(p, centre, radius), (0.97, 0.97, 0.95), 0.8),
        Part(lambda p: both(p, ahead, 0.6 * radius), (0.05, 0.05, 0.06), 1.0),
    ]


def _duck() -> Sequence[Part]:
    def body(p: Points) -> Array:
        trunk = shapes.ellipsoid(p, (0.08, 0.3, 0), (0.47, 0.3, 0.36))
        tail = shapes.capsule(p, (0.38, 0.36, 0), (0.6, 0.58, 0), 0.14, 0.04)
        head = shapes.sphere(p, (-0.22, 0.72, 0), 0.26)
        wing = shapes.ellipsoid((p[0], p[1], np.abs(p[2])), (0.14, 0.36, 0.31), (0.25, 0.15, 0.1))
        return shapes.joined(shapes.joined(shapes.joined(trunk, tail, 0.15), head, 0.12), wing, 0.03)

    def beak(p: Points) -> Array:
        upper = shapes.ellipsoid(p, (-0.5, 0.7, 0), (0.14, 0.045, 0.11))
        lower = shapes.ellipsoid(p, (-0.46, 0.65, 0), (0.12, 0.04, 0.09))
        return np.minimum(upper, lower)

    return [Part(body, (0.98, 0.80, 0.06), 0.6), Part(beak, (0.95, 0.40, 0.03), 0.5), *_eyes((-0.37, 0.8, 0.14), 0.06)]


def _mushroom() -> Sequence[Part]:
    def cap(p: Points) -> Array:
        dome = shapes.ellipsoid(p, (0, 0.52, 0), (0.5, 0.42, 0.5))
        domed: Array = np.maximum(dome, np.float32(0.55) - p[1]) - np.float32(0.03)
        return domed

    def dots(p: Points) -> Array:
        spotted = np.zeros(len(p[0]), bool)
        for height, count, shift, size in ((0.68, 7, 0.0, 0.08), (0.85, 5, 0.4, 0.085), (0.97, 1, 0.0, 0.1)):
            out = 0.53 * np.sqrt(max(0.0, 1 - ((height - 0.52) / 0.45) ** 2))
            for angle in shift + 2 * np.pi * np.arange(count) / count:
                spotted |= shapes.sphere(p, (out * np.cos(angle), height, out * np.sin(angle)), size) < 0
        red = mixed((0.93, 0.88, 0.78), (0.80, 0.08, 0.06), p[1] > 0.56)
        return np.where(spotted[:, None], np.array([0.98, 0.96, 0.92], np.float32), red)

    def stem(p: Points) -> Array:
        return shapes.capsule(p, (0, 0.14, 0), (0, 0.55, 0), 0.2, 0.15)

    return [Part(cap, dots, 0.5), Part(stem, (0.94, 0.90, 0.80), 0.1)]


def _banana() -> Sequence[Part]:
    def arc(p: Points) -> tuple[Array, Array, Array]:
        """Across the arc, above the table, and the angle along it from −1 to 1."""
        x, z = p[0], p[2] - np.float32(0.72)
        return shapes.length(x, z) - np.float32(0.85), p[1] - np.float32(0.16), np.arctan2(x, -z) / np.float32(0.85)

    def fruit(p: Points) -> Array:
        across, above, along = arc(p)
        past = np.maximum(np.abs(along) - 1, 0)
        thick = np.float32(0.155) * np.sqrt(np.clip(1.06 - along**4, 0.05, 1))
        return shapes.shortened(shapes.length(across, above, past) - thick, 0.75)

    def peel(p: Points) -> Array:
        along = arc(p)[2]
        return mixed((0.97, 0.80, 0.16), (0.30, 0.20, 0.08), (np.abs(along + 0.02) - 0.9) * 12)

    def stalk(p: Points) -> Array:
        return shapes.capsule(p, (0.62, 0.17, 0.1), (0.8, 0.2, 0.36), 0.06, 0.045)

    return [Part(fruit, peel, 0.3), Part(stalk, (0.62, 0.55, 0.14), 0.1)]


def _ball() -> Sequence[Part]:
    def panels(p: Points) -> Array:
        palette = np.array([[0.88, 0.10, 0.12], [0.97, 0.96, 0.93], [0.10, 0.35, 0.75], [0.97, 0.96, 0.93]], np.float32)
        tilted = shapes.turned(shapes.moved(p, (0, 0.46, 0)), 0.6, 0)
        panel = np.floor(np.arctan2(tilted[2], tilted[0]) / np.pi * 4).astype(int) % 4
        pole = shapes.length(tilted[0], tilted[2]) < 0.1
        return np.where(pole[:, None], np.array([0.97, 0.80, 0.12], np.float32), palette[panel])

    return [Part(lambda p: shapes.sphere(p, (0, 0.46, 0), 0.46), panels, 0.7)]


def _cactus() -> Sequence[Part]:
    def plant(p: Points) -> Array:
        ribs = np.float32(0.016) * np.cos(12 * np.arctan2(p[2], p[0]))
        trunk = shapes.capsule(p, (0, 0.4, 0), (0, 0.95, 0), 0.17) - ribs
        right = np.minimum(
            shapes.capsule(p, (0.1, 0.62, 0), (0.32, 0.66, 0), 0.075),
            shapes.capsule(p, (0.32, 0.66, 0), (0.33, 0.86, 0), 0.075),
        )
        left = np.minimum(
            shapes.capsule(p, (-0.1, 0.72, 0), (-0.29, 0.76, 0), 0.065),
            shapes.capsule(p, (-0.29, 0.76, 0), (-0.3, 0.98, 0), 0.065),
        )
        return shapes.shortened(shapes.joined(trunk, np.minimum(left, right), 0.05), 0.85)

    def pot(p: Points) -> Array:
        x, y, z = p
        wide = np.float32(0.24) + np.float32(0.2) * y
        body = np.float32(0.9) * shapes.extruded(shapes.length(x, z) - wide, y - np.float32(0.2), 0.2, 0.02)
        whole: Array = np.minimum(body, shapes.cylinder(p, (0, 0.4, 0), 0.36, 0.06))
        return whole

    def spines(p: Points) -> Array:
        dotted = (np.cos(12 * np.arctan2(p[2], p[0])) < -0.75) & (np.mod(p[1] * 11, 1) < 0.3)
        return mixed((0.16, 0.45, 0.20), (0.80, 0.86, 0.62), dotted)

    return [Part(plant, spines, 0.2), Part(pot, (0.74, 0.36, 0.20), 0.15)]


THINGS: dict[str, Sequence[Part]] = {
    "apple": _apple(), "fish": _fish(), "key": _key(), "leaf": _leaf(), "mug": _mug(),
    "ball": _ball(), "banana": _banana(), "cactus": _cactus(), "duck": _duck(), "mushroom": _mushroom(),
}  # fmt: skip
