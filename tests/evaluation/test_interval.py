"""Intervals: the normal approximation's, and right about as often as they say."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from edge_meta.evaluation.interval import Interval, Share


def test_interval_is_the_mean_and_its_95_percent_half_width() -> None:
    values = [0.5, 0.75, 1.0, 0.25, 0.9]
    interval = Interval.of(np.array(values))
    assert interval.mean == pytest.approx(statistics.mean(values))
    assert interval.ci95 == pytest.approx(1.96 * statistics.stdev(values) / math.sqrt(5))
    assert str(Interval(0.97612, 0.00123)) == "97.61 ± 0.12 %"


def test_interval_covers_the_true_mean_95_times_in_a_hundred() -> None:
    samples = np.random.default_rng(0).uniform(size=(2000, 100))
    covered = [abs(interval.mean - 0.5) <= interval.ci95 for interval in map(Interval.of, samples)]
    assert 0.93 < np.mean(covered) < 0.965


def test_one_value_has_no_interval() -> None:
    assert math.isnan(Interval.of(np.array([0.5])).ci95)


@pytest.mark.parametrize(
    ("count", "out_of", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8, 10, 0.4902, 0.9433)]
)
def test_a_share_has_wilsons_interval(count: int, out_of: int, low: float, high: float) -> None:
    share = Share(count, out_of)
    assert share.share == count / out_of
    assert share.ci95 == pytest.approx((low, high), abs=1e-3)


def test_a_share_of_nothing_is_none() -> None:
    assert (Share(0, 0).share, Share(0, 0).ci95, str(Share(0, 0))) == (None, None, "none")
    assert str(Share(3, 4)) == "3 of 4, 75 % (30 to 95 %)"
