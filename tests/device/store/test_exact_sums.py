"""Exact sums, squares and scatters, against whole numbers and fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_meta.store.exact_sums import FEW, Sums, scatters, squared_lengths

WHOLE = st.integers(-(2**63), 2**63 - 1)
VALUES = st.floats(-32767, 32767, width=32, allow_subnormal=False)


@given(rows=st.lists(st.lists(WHOLE, min_size=3, max_size=3), min_size=1, max_size=4))
def test_squared_lengths_are_exact_for_any_64_bits(rows: list[list[int]]) -> None:
    lengths = [sum(value * value for value in row) for row in rows]
    assert squared_lengths(np.array(rows, np.int64)) == lengths
    assert squared_lengths(np.repeat(np.array(rows, np.int64), FEW + 1, axis=0)) == [
        n for n in lengths for _ in range(FEW + 1)
    ]


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, -1])
def test_squared_lengths_do_not_overflow(value: int) -> None:
    assert squared_lengths(np.full((1, 65536), value, np.int64)) == [65536 * value * value]


@given(rows=st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=6))
def test_scatters_are_those_of_fractions_and_never_below_zero(rows: list[list[float]]) -> None:
    sums = Sums.of(np.array(rows, np.float32))
    fixed = [[Fraction(int(np.rint(value * 2.0**24)), 2**24) for value in row] for row in rows]
    means = [sum(column) / len(rows) for column in zip(*fixed, strict=True)]
    exact = sum((value - mean) ** 2 for row in fixed for value, mean in zip(row, means, strict=True))
    (scatter,) = scatters([sums.count], sums.total[None], [sums.squares])
    assert scatter == float(exact)
    assert scatter >= 0


def test_close_shots_far_from_the_origin_scatter_exactly() -> None:
    shots = np.full((4, 2), 30000, np.float32)
    shots[0, 0] += np.float32(2**-9)
    sums = Sums.of(shots)
    assert scatters([4], sums.total[None], [sums.squares]).tolist() == [2.0**-18 * 3 / 4]
    alone = Sums.of(shots[:1])
    assert scatters([1], alone.total[None], [alone.squares]).tolist() == [0.0]


@given(first=st.lists(VALUES, min_size=2, max_size=2), second=st.lists(VALUES, min_size=2, max_size=2))
def test_what_is_added_can_be_taken_away(first: list[float], second: list[float]) -> None:
    one, two = (Sums.of(np.array([row], np.float32)) for row in (first, second))
    assert (one + two).to_row() == Sums.of(np.array([second, first], np.float32)).to_row()
    assert (one + two - two).to_row() == one.to_row()
