"""Distances to examples of none, as limits of what can be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_meta.heads.none_points import FACTOR, NonePoints

POINTS = np.array([[3.0, 0.0], [0.0, 5.0]], np.float32)


def test_the_nearest_example_of_none_sets_the_limit() -> None:
    points = NonePoints(POINTS)
    assert points.limit(np.zeros(2, np.float32)) == pytest.approx(9.0 / FACTOR)
    assert points.limit(np.array([0.0, 4.0], np.float32)) == pytest.approx(1.0 / FACTOR)
    assert NonePoints(POINTS, factor=1.0).limit(np.zeros(2, np.float32)) == pytest.approx(9.0)


def test_an_example_of_none_itself_is_never_known() -> None:
    assert NonePoints(POINTS).limit(POINTS[0]) == 0.0


def test_without_examples_of_none_there_is_no_limit() -> None:
    assert NonePoints(POINTS[:0]).limit(POINTS[0]) == math.inf
