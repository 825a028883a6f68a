"""Renderings: shapes, and pictures from a seed."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.datasets.renderings import THINGS, picture, shapes
from edge_meta.datasets.renderings.table import PALETTES, Table

POINTS = tuple(np.random.default_rng(0).uniform(-1, 1, (3, 500)).astype(np.float32))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (shapes.sphere(POINTS, (1, 0, 0), 0.5), np.hypot(np.hypot(POINTS[0] - 1, POINTS[1]), POINTS[2]) - 0.5),
        (shapes.cylinder(([2], [0], [0]), (0, 0, 0), 0.5, 1.0), [1.5]),
        (shapes.cylinder(([0], [3], [0]), (0, 0, 0), 0.5, 1.0), [2.0]),
        (shapes.box(([3], [0], [0]), (1, 0, 0), (0.5, 1, 1)), [1.5]),
        (shapes.torus(([1], [0.5], [0]), (0, 0, 0), 1.0, 0.2), [0.3]),
        (shapes.capsule(([2], [0], [0]), (0, 0, 0), (1, 0, 0), 0.25), [0.75]),
        (shapes.capsule(([2], [0], [0]), (0, 0, 0), (1, 0, 0), 0.25, 0.5), [0.5]),
        (shapes.extruded(np.float32([1.0]), np.float32([0.0]), 0.1), [1.0]),
    ],
)
def test_shapes_measure_the_distance_to_their_surface(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turning_moves_a_point_about_its_axis(axis: int) -> None:
    corner = [np.zeros(1, np.float32) for _ in range(3)]
    corner[(axis + 1) % 3] += 1
    quarter = shapes.turned((corner[0], corner[1], corner[2]), np.pi / 2, axis)
    expected = np.zeros(3)
    expected[(axis + 2) % 3] = -1
    np.testing.assert_allclose(np.ravel(quarter), expected, atol=1e-6)


def test_joined_shapes_meet_smoothly() -> None:
    a, b = np.float32([0.1, 1.0]), np.float32([0.1, 0.0])
    joined = shapes.joined(a, b, 0.2)
    assert joined[0] < 0.1
    assert joined[1] == 0


@pytest.mark.parametrize("thing", THINGS)
def test_every_thing_is_seen_on_its_table(thing: str) -> None:
    pictures = [picture(thing, number, size=32) for number in range(2)]
    assert pictures[0].shape == (32, 32, 3)
    assert pictures[0].dtype == np.uint8
    assert pictures[0].std() > 10, "all of one colour"
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5, "no two pictures are alike"


def test_a_seed_gives_the_same_picture() -> None:
    np.testing.assert_array_equal(picture("mug", 3, seed=1, size=16), picture("mug", 3, seed=1, size=16))
    assert (picture("mug", 3, seed=2, size=16) != picture("mug", 3, seed=1, size=16)).any()


@pytest.mark.parametrize("pattern", PALETTES)
def test_tables_have_colours_from_0_to_1(pattern: str) -> None:
    colours = Table(pattern, 0, 0.3, 1).colours(9 * POINTS[0], 9 * POINTS[1])
    assert colours.shape == (500, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
