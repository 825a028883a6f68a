"""A stream of sensor values is cut at the moments of stillness."""

from __future__ import annotations

import numpy as np
import pytest
from support.motions import RATE, stream

from edge_meta.errors import InputError
from edge_meta.inputs.motions import MotionCutter

MADE = [(0, 1.6), (2, 1.2), (0, 1.4)]  # kinds of motions, and seconds


def cut(times: np.ndarray, values: np.ndarray, block: int) -> list[tuple[float, float]]:
    cutter = MotionCutter()
    blocks = [slice(first, first + block) for first in range(0, len(times), block)]
    found = [motion for rows in blocks for motion in cutter.feed(times[rows], values[rows])] + cutter.end()
    assert all(abs(len(motion.values) / RATE - (motion.end - motion.start)) < 0.05 for motion in found)
    return [(motion.start, motion.end) for motion in found]


@pytest.mark.parametrize("scale", [1.0, 0.1, 1000.0])
def test_each_motion_is_cut_out_whatever_its_units(scale: float) -> None:
    times, values, spans = stream(MADE)
    found = cut(times, values * scale, len(times))
    assert len(found) == len(spans)
    for (start, end), (begun, over) in zip(found, spans, strict=True):
        assert begun - 0.25 < start < begun + 0.15
        assert over - 0.15 < end < over + 0.25


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_of_any_length_give_the_same(block: int) -> None:
    times, values, _ = stream(MADE)
    assert cut(times, values, block) == cut(times, values, len(times))


def test_stillness_has_no_motions() -> None:
    values = np.array([0, 6, 8, 0, 0, 0]) + np.random.default_rng(0).normal(0, 0.05, (60 * RATE, 6))
    assert cut(np.arange(len(values)) / RATE, values, 100) == []
    assert cut(np.arange(len(values)) / RATE, np.zeros_like(values), 100) == []


def test_a_bump_and_a_long_walk_are_no_gestures() -> None:
    times, values, _ = stream([(0, 0.2)])
    assert cut(times, values, 50) == []
    times, values, _ = stream([(2, 2.0)] * 4, rest=0.0)
    assert cut(times, values, 50) == []


def test_a_motion_ends_where_rows_are_missing() -> None:
    times, values, ((start, end), *_) = stream(MADE)
    middle = np.searchsorted(times, (start + end) / 2)
    late = times + 10 * (np.arange(len(times)) >= middle) + 10 * (np.arange(len(times)) >= 5)
    found = cut(late, values, 50)
    assert found[0][1] - 10 < (start + end) / 2
    assert all(begun > 20 for begun, _ in found[1:])


def test_a_motion_at_the_end_of_the_stream_is_given() -> None:
    times, values, ((_, end), *_) = stream(MADE)
    keep = times < end
    assert len(cut(times[keep], values[keep], 50)) == 1


@pytest.mark.parametrize(
    ("times", "values", "cause"),
    [
        (np.arange(40) * 10.0, np.zeros((40, 6)), "10 s apart"),
        (np.arange(3) * 10.0, np.zeros((3, 6)), "10 s apart"),
        (np.array([0.0, 0.01, 0.005]), np.zeros((3, 6)), "goes back from 0.01 to 0.005"),
        (np.zeros(3), np.full((3, 6), np.nan), "not finite"),
        (np.zeros(3), np.zeros((4, 6)), "Give \\(n,\\) and \\(n, channels\\)"),
    ],
)
def test_what_is_no_stream_is_refused(times: np.ndarray, values: np.ndarray, cause: str) -> None:
    cutter = MotionCutter()
    with pytest.raises(InputError, match=cause):
        [cutter.feed(times, values), cutter.end()]
