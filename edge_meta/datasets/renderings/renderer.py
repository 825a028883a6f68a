"""Render a thing on a table: sphere tracing of signed distances (Hart 1996), a lamp, a soft shadow, the light of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.renderings import shapes
from edge_meta.datasets.renderings.shapes import Points
from edge_meta.datasets.renderings.table import Table
from edge_meta.datasets.renderings.things import Part
from edge_meta.types import Array

CENTRE, RADIUS = np.array([0, 0.45, 0], np.float32), 1.25  # of a ball around every thing
STEPS, SHADOW_STEPS = 48, 22
NEAR = 2e-3  # of a surface, that counts as met
SAMPLES = 2  # a side of each pixel


class Scene(NamedTuple):
    """Where the camera and the lamp are, in radians and units of about a thing's size.

    Attributes:
        turn: of the thing on the table.
        height: of the camera's direction above the table.
        away: from the thing to the camera.
        aim: what the camera looks at, (3,).
        roll: of the camera.
        lamp: the direction to the lamp, (3,), of unit length.
        light, sky: their colours, (3,).
    """

    turn: float
    height: float
    away: float
    aim: Array
    roll: float
    lamp: Array
    light: Array
    sky: Array


def render(parts: Sequence[Part], table: Table, scene: Scene, size: int) -> NDArray[np.uint8]:
    """Return the picture, uint8 (size, size, 3)."""
    eye, rays = _camera(scene, size * SAMPLES)
    colours = np.empty_like(rays)
    down = np.minimum(rays[:, 1], np.float32(-1e-3))
    to_table = -eye[1] / down
    on_table = eye + to_table[:, None] * rays
    travelled, met = _trace(parts, scene, eye, rays, to_table)
    ground = np.flatnonzero(~met)
    colours[ground] = _shaded_table(parts, table, scene, on_table[ground])
    found = np.flatnonzero(met)
    if len(found):
        colours[found] = _shaded_thing(parts, scene, eye + travelled[found, None] * rays[found], rays[found])
    side = size * SAMPLES
    image = colours.reshape(side, side, 3)
    offsets = np.linspace(-1, 1, side, dtype=np.float32) ** 2
    image = image * (1 - np.float32(0.16) * (offsets[:, None] + offsets)[:, :, None])  # darker to the corners
    image = image.reshape(size, SAMPLES, size, SAMPLES, 3).mean(axis=(1, 3))
    image = image * (1 + image / 4) / (1 + image)  # bright spots keep their colour (Reinhard et al. 2002)
    image = np.clip(image * np.float32(1.6), 0, 1) ** np.float32(1 / 2.2)
    pixels: NDArray[np.uint8] = np.rint(image * 255).astype(np.uint8)
    return pixels


def _camera(scene: Scene, side: int) -> tuple[Array, Array]:
    """The camera's place, (3,), and the directions of its rays, (side², 3), of unit length."""
    back = np.array([0, np.sin(scene.height), np.cos(scene.height)], np.float32)
    right, up = np.array([1, 0, 0], np.float32), np.array([0, back[2], -back[1]], np.float32)
    cos, sin = np.float32(np.cos(scene.roll)), np.float32(np.sin(scene.roll))
    right, up = cos * right + sin * up, cos * up - sin * right
    at = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side / 2) - 1
    x, y = np.meshgrid(at * np.float32(0.36), -at * np.float32(0.36))
    rays = x[..., None] * right + y[..., None] * up - back
    rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    return scene.aim + np.float32(scene.away) * back, rays.reshape(-1, 3).astype(np.float32)


def _trace(parts: Sequence[Part], scene: Scene, eye: Array, rays: Array, farthest: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The length of each ray, and whether it meets the thing before `farthest`."""
    start, end = _ball(eye, rays)
    travelled, met = start.copy(), np.zeros(len(rays), bool)
    end = np.minimum(end, farthest)
    active = np.flatnonzero(start < end)
    for _ in range(STEPS):
        near = _nearest(parts, _points(scene, eye + travelled[active, None] * rays[active]))
        travelled[active] += near
        met[active[near < NEAR]] = True
        active = active[(near >= NEAR) & (travelled[active] < end[active])]
        if not len(active):
            break
    return travelled, met


def _ball(origins: Array, rays: Array) -> tuple[Array, Array]:
    """Where rays enter and leave the ball around a thing; where they miss it, the end is before the start."""
    away = origins - CENTRE
    middle = -(away * rays).sum(axis=-1)
    half = RADIUS**2 - ((away * away).sum(axis=-1) - middle**2)
    reach = np.sqrt(np.maximum(half, 0))
    return np.maximum(middle - reach, np.float32(0.02)), np.where(half > 0, middle + reach, -1).astype(np.float32)


def _points(scene: Scene, points: Array) -> Points:
    """Points (n, 3) of the scene as the turned thing sees them."""
    x, y, z = np.ascontiguousarray(points.T)
    return shapes.turned((x, y, z), scene.turn)


def _nearest(parts: Sequence[Part], points: Points) -> Array:
    near = parts[0].distance(points)
    for part in parts[1:]:
        near = np.minimum(near, part.distance(points))
    return near


def _shadow(parts: Sequence[Part], scene: Scene, points: Array) -> Array:
    """The share of the lamp's light that reaches points, softer the farther the thing is (Quilez, "Soft shadows")."""
    start, end = _ball(points, np.broadcast_to(scene.lamp, points.shape))
    light, travelled = np.ones(len(points), np.float32), np.maximum(start, np.float32(0.03))
    active = np.flatnonzero(travelled < end)
    for _ in range(SHADOW_STEPS):
        near = _nearest(parts, _points(scene, points[active] + travelled[active, None] * scene.lamp))
        light[active] = np.minimum(light[active], np.clip(8 * near / travelled[active], 0, 1))
        travelled[active] += np.clip(near, 0.02, 0.25)
        active = active[(light[active] > 0.01) & (travelled[active] < end[active])]
        if not len(active):
            break
    return light * light * (3 - 2 * light)


def _open_sky(parts: Sequence[Part], scene: Scene, points: Array, normals: Array) -> Array:
    """The share of the sky that points see, estimated by the distances on the way up (Quilez, "Ambient occlusion")."""
    hidden = np.zeros(len(points), np.float32)
    for step, weight in ((0.08, 2.2), (0.24, 1.1)):
        near = _nearest(parts, _points(scene, points + np.float32(step) * normals))
        hidden += np.float32(weight) * np.maximum(np.float32(step) - near, 0)
    return np.clip(1 - hidden, 0.25, 1)


def _shaded_table(parts: Sequence[Part], table: Table, scene: Scene, points: Array) -> Array:
    up = np.array([0, 1, 0], np.float32)
    sky = np.ones(len(points), np.float32)
    close = np.flatnonzero((points**2).sum(axis=1) < 1.5**2)
    sky[close] = _open_sky(parts, scene, points[close], up)
    lamp = scene.lamp[1] * _shadow(parts, scene, points)
    light = lamp[:, None] * scene.light + sky[:, None] * scene.sky
    colours: Array = table.colours(points[:, 0], points[:, 2]) ** np.float32(2.2) * light
    return colours


def _shaded_thing(parts: Sequence[Part], scene: Scene, points: Array, rays: Array) -> Array:
    normals = _normals(parts, scene, points)
    seen = _points(scene, points)
    which = np.argmin([part.distance(seen) for part in parts], axis=0)
    base, gloss = np.empty_like(points), np.empty(len(points), np.float32)
    for index, part in enumerate(parts):
        own = which == index
        colour = part.colour((seen[0][own], seen[1][own], seen[2][own])) if callable(part.colour) else part.colour
        base[own], gloss[own] = colour, part.gloss
    facing = (normals @ scene.lamp).clip(0)
    lamp = facing * np.where(facing > 0, _shadow(parts, scene, points + np.float32(0.01) * normals), 0)
    sky = _open_sky(parts, scene, points, normals) * (np.float32(0.7) + np.float32(0.3) * normals[:, 1])
    half = scene.lamp - rays
    half = half / np.linalg.norm(half, axis=1, keepdims=True)
    shine = gloss * (normals * half).sum(axis=1).clip(0) ** 50 * (lamp > 0)  # Blinn 1977
    edge = gloss * np.float32(0.25) * (1 - np.abs((normals * rays).sum(axis=1))) ** 4
    light = lamp[:, None] * scene.light + sky[:, None] * scene.sky
    colours: Array = (
        base ** np.float32(2.2) * light + shine[:, None] * scene.light * np.float32(0.5) + edge[:, None] * scene.sky
    )
    return colours


def _normals(parts: Sequence[Part], scene: Scene, points: Array) -> Array:
    """Of the surface, (n, 3), of unit length, from differences at the corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    total = np.zeros_like(points)
    for corner in corners:
        total += corner * _nearest(parts, _points(scene, points + np.float32(1e-3) * corner))[:, None]
    normals: Array = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), np.float32(1e-9))
    return normals
