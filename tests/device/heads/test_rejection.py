"""Limits of "unknown": interpolated as documented, wider for labels whose shots lie apart."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_meta.errors import InputError
from edge_meta.heads.rejection import PRIOR_SHOTS, Rejection, check_rate

TABLE = ((16.0, 32.0), (4.0, 8.0))
HALF = ((8.0, 16.0), (2.0, 4.0))
REJECTION = Rejection(false_accept=0.1, labels=(1, 4), rates=(0.01, 0.1), shots=(1, 5), thresholds=(TABLE, HALF), spread=3.0)


def limit(labels: int, rate: float | None = None, rejection: Rejection = REJECTION) -> float:
    """Of labels of one shot, which have no scatter."""
    counts = np.ones(labels, np.int64)
    limits = rejection.limits(counts, rejection.spread * (counts - 1.0), rate)
    assert np.allclose(limits, limits[0])
    return float(limits[0])


@pytest.mark.parametrize(
    ("labels", "rate", "far"),
    [
        (1, 0.1, 32.0),
        (1, 0.01, 16.0),
        (4, 0.1, 8.0),
        (4, None, 8.0),
        (2, 0.1, 16.0),  # halfway from 1 to 4 in the logarithm, and so between 32 and 8
        (1, 10**-1.5, 16.0 * math.sqrt(2.0)),
        (2, 10**-1.5, 8.0 * math.sqrt(2.0)),
        (16, 0.1, 2.0),  # beyond the table it goes on as it went
        (64, 0.1, 0.5),
    ],
)
def test_thresholds_are_interpolated_in_the_logarithms(labels: int, rate: float | None, far: float) -> None:
    assert limit(labels, rate) == pytest.approx(far)


def test_a_table_of_one_number_of_labels_holds_for_all() -> None:
    assert limit(50, 0.1, replace(REJECTION, labels=(20,), thresholds=(((1.0, 2.0),),) * 2)) == pytest.approx(2.0)


@pytest.mark.parametrize(("shots", "far"), [(1, 32.0), (2, 22.0), (5, 16.0), (10, 14.0), (10**9, 12.0)])
def test_fewer_shots_have_a_wider_limit(shots: int, far: float) -> None:
    """Linear in 1/n: 32 at 1 and 16 at 1/5."""
    usual = REJECTION.spread * (shots - 1.0)
    assert REJECTION.limits(np.array([shots]), np.array([usual]))[0] == pytest.approx(far)


def test_a_limit_is_never_below_zero() -> None:
    steep = replace(REJECTION, thresholds=(TABLE, tuple(tuple(value / 100 for value in row) for row in TABLE)))
    assert steep.limits(np.array([10**9]), np.array([0.0]))[0] == 0.0


def test_a_single_shot_says_nothing_of_how_a_label_spreads() -> None:
    assert REJECTION.widths(np.array([1]), np.array([0.0]))[0] == 1.0


COUNTED = st.tuples(st.integers(2, 40), st.floats(0, 100, allow_subnormal=False))


@given(st.lists(COUNTED, min_size=1, max_size=5), st.integers(0, 2**31))
def test_a_labels_width_is_its_shrunk_leave_one_out_spread(labels: list[tuple[int, float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, scatters, wanted = [], [], []
    for count, scale in labels:
        shots = scale * rng.normal(size=(count, 3))
        # Each shot's distance to the mean of the others is n / (n − 1) times that to the mean of all.
        left_out = [((shot - np.delete(shots, at, axis=0).mean(axis=0)) ** 2).sum() for at, shot in enumerate(shots)]
        variance = (sum(left_out) * ((count - 1) / count) ** 2) / (count - 1)
        prior = PRIOR_SHOTS / (PRIOR_SHOTS + count - 1)
        wanted.append(math.sqrt(prior + (1 - prior) * variance / REJECTION.spread))
        counts.append(count)
        scatters.append(((shots - shots.mean(axis=0)) ** 2).sum())
    np.testing.assert_allclose(REJECTION.widths(np.array(counts), np.array(scatters)), wanted, rtol=1e-9)


def test_no_labels_have_no_limits() -> None:
    assert REJECTION.limits(np.zeros(0, np.int64), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("rate", [0.009, 0.11, 0.0, -0.1, 5, float("nan"), float("inf")])
def test_a_rate_outside_the_table_is_refused_and_the_range_named(rate: float) -> None:
    with pytest.raises(InputError) as caught:
        check_rate(REJECTION, rate)
    assert "0.01 to 0.1" in caught.value.remedy


@pytest.mark.parametrize("rate", [None, 0.01, 0.1])
def test_a_rate_inside_the_table_is_taken(rate: float | None) -> None:
    check_rate(REJECTION, rate)


def test_without_calibration_there_is_no_rate() -> None:
    check_rate(None, None)
    with pytest.raises(InputError, match="not calibrated for unknown"):
        check_rate(None, 0.05)
