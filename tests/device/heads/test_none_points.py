"""Distances to examples of none, as limits of what can be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_meta.heads.none_points import NonePoints, none_factors

POINTS = np.array([[3.0, 0.0], [0.0, 5.0]], np.float32)


def test_the_nearest_example_of_none_sets_the_limit() -> None:
    points, origin = NonePoints(POINTS), np.zeros(2, np.float32)
    assert points.nearest(origin) == pytest.approx(9.0)
    assert points.limit(origin, 1) == pytest.approx(9.0 / 0.85)
    assert points.limit(np.array([0.0, 4.0], np.float32), 3) == pytest.approx(1.0 / 1.275)
    assert NonePoints(POINTS, single=False).limit(origin, 3) == pytest.approx(9.0)
    np.testing.assert_allclose(9.0 / none_factors(np.array([1, 3, 50])), [points.limit(origin, n) for n in (1, 3, 50)])


def test_an_example_of_none_itself_is_never_known() -> None:
    assert NonePoints(POINTS).limit(POINTS[0], 2) == 0.0


def test_without_examples_of_none_there_is_no_limit() -> None:
    assert NonePoints(POINTS[:0]).limit(POINTS[0], 2) == math.inf
