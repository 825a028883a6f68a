"""Shapes as signed distances: from points to the distance of a surface, negative inside (Quilez, "Distance functions").

Points are (x, y, z), three arrays of one shape; y is up. Distances are float32 arrays of that shape. Those of ellipsoids
and of unions that are smooth are estimates, near the surface nearly exact.
"""

from __future__ import annotations

import numpy as np

from edge_meta.types import Array

Points = tuple[Array, Array, Array]
Vector = tuple[float, float, float]


def moved(p: Points, by: Vector) -> Points:
    """Points as a shape sees them that is moved by a vector."""
    return p[0] - np.float32(by[0]), p[1] - np.float32(by[1]), p[2] - np.float32(by[2])


def turned(p: Points, angle: float, axis: int = 1) -> Points:
    """Points as a shape sees them that is turned by an angle, in radians, about x (0), y (1) or z (2)."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    q = list(p)
    q[a], q[b] = cos * p[a] + sin * p[b], cos * p[b] - sin * p[a]
    return q[0], q[1], q[2]


def length(*coordinates: Array) -> Array:
    """The lengths of vectors, given by coordinates."""
    total = coordinates[0] * coordinates[0]
    for coordinate in coordinates[1:]:
        total = total + coordinate * coordinate
    distances: Array = np.sqrt(total)
    return distances


def sphere(p: Points, centre: Vector, radius: float) -> Array:
    distances: Array = length(*moved(p, centre)) - np.float32(radius)
    return distances


def ellipsoid(p: Points, centre: Vector, radii: Vector) -> Array:
    q = moved(p, centre)
    near = length(*(each / np.float32(radius) for each, radius in zip(q, radii, strict=True)))
    steep = length(*(each / np.float32(radius * radius) for each, radius in zip(q, radii, strict=True)))
    distances: Array = near * (near - 1) / np.maximum(steep, np.float32(1e-6))
    return distances


def cylinder(p: Points, centre: Vector, radius: float, half: float, rounding: float = 0.02) -> Array:
    """An upright cylinder of rounded edges, of half its height."""
    q = moved(p, centre)
    return _extruded(
        length(q[0], q[2]) - np.float32(radius - rounding), np.abs(q[1]) - np.float32(half - rounding), rounding
    )


def box(p: Points, centre: Vector, halves: Vector, rounding: float = 0.02) -> Array:
    """A box of rounded edges, of half its sides."""
    q = [np.abs(each) - np.float32(half - rounding) for each, half in zip(moved(p, centre), halves, strict=True)]
    outside = length(*(np.maximum(each, 0) for each in q))
    distances: Array = outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - np.float32(rounding)
    return distances


def torus(p: Points, centre: Vector, radius: float, pipe: float, axis: int = 1) -> Array:
    """A ring about an axis, x (0), y (1) or z (2), of a pipe's radius."""
    q = moved(p, centre)
    across = length(q[(axis + 1) % 3], q[(axis + 2) % 3]) - np.float32(radius)
    distances: Array = length(across, q[axis]) - np.float32(pipe)
    return distances


def capsule(p: Points, start: Vector, end: Vector, radius: float, end_radius: float | None = None) -> Array:
    """A rod with round ends; it may taper."""
    q, along = moved(p, start), np.subtract(end, start).astype(np.float32)
    share = np.clip((q[0] * along[0] + q[1] * along[1] + q[2] * along[2]) / (along @ along), 0, 1)
    away = length(*(each - share * side for each, side in zip(q, along, strict=True)))
    distances: Array = (
        away - np.float32(radius) - share * np.float32((radius if end_radius is None else end_radius) - radius)
    )
    return distances


def extruded(outline: Array, height: Array, half: float, rounding: float = 0.02) -> Array:
    """A flat thing: a distance to its outline, and the height above its middle."""
    return _extruded(outline + np.float32(rounding), np.abs(height) - np.float32(half - rounding), rounding)


def joined(a: Array, b: Array, blend: float) -> Array:
    """The smooth union of two shapes, over a width of blending."""
    share = np.maximum(np.float32(blend) - np.abs(a - b), 0) / np.float32(blend)
    distances: Array = np.minimum(a, b) - share * share * np.float32(blend / 4)
    return distances


def shortened(distances: Array, factor: float) -> Array:
    """Take a share of distances that a bent shape overestimates, so that no step goes through its surface."""
    shorter: Array = distances * np.float32(factor)
    return shorter


def _extruded(across: Array, along: Array, rounding: float) -> Array:
    outside = length(np.maximum(across, 0), np.maximum(along, 0))
    distances: Array = outside + np.minimum(np.maximum(across, along), 0) - np.float32(rounding)
    return distances
