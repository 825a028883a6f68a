"""Resizing against a slow reference and Pillow's filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.device import noise

from edge_meta.inputs.resizing import resize

SIZES = [
    ((105, 105), (28, 28)),
    ((28, 28), (84, 84)),
    ((9, 14), (5, 31)),
    ((1, 1), (3, 2)),
    ((3, 7), (1, 1)),
    ((1, 40), (28, 28)),
]


def resampled(values: list[float], target: int) -> list[float]:
    """One row of pixels by the definition: a triangle around each new pixel's center, as wide as the shrink factor."""
    step = len(values) / target
    support = max(step, 1.0)
    row = []
    for position in range(target):
        center = (position + 0.5) * step
        weights = [max(0.0, 1.0 - abs(index + 0.5 - center) / support) for index in range(len(values))]
        row.append(math.fsum(w * value for w, value in zip(weights, values, strict=True)) / math.fsum(weights))
    return row


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_resize_is_an_antialiased_triangle_filter(size: tuple[int, int], target: tuple[int, int]) -> None:
    image = noise(*size)
    rows = [resampled([float(value) for value in row], target[1]) for row in image[:, :, 0]]
    columns = [resampled(list(column), target[0]) for column in zip(*rows, strict=True)]
    wanted = np.array(columns).T
    assert np.abs(resize(image, *target)[:, :, 0] - wanted).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_pillows_bilinear_to_a_gray_level(size: tuple[int, int], target: tuple[int, int], channels: int) -> None:
    image = noise(*size, channels)
    pillow = Image.fromarray(image if channels == 3 else image[:, :, 0])
    wanted = np.asarray(pillow.resize(target[::-1], Image.Resampling.BILINEAR, reducing_gap=None), np.int64)
    assert np.abs(resize(image, *target) - wanted.reshape(*target, channels)).max() <= 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
def test_resize_gives_the_size_and_keeps_the_range(
    height: int, width: int, to_height: int, to_width: int, channels: int
) -> None:
    image = noise(height, width, channels)
    resized = resize(image, to_height, to_width)
    assert resized.shape == (to_height, to_width, channels)
    assert resized.dtype == np.uint8
    assert image.min() <= resized.min() <= resized.max() <= image.max()
    np.testing.assert_array_equal(resize(resized, to_height, to_width), resized)
    np.testing.assert_array_equal(resize(image, height, width), image)


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_paper_stays_paper(level: int) -> None:
    assert np.all(resize(np.full((37, 53, 3), level, np.uint8), 28, 28) == level)


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    """The same, but for sums halfway between two grays: matrix products of other sizes may add in another order."""
    assert np.abs(found.astype(np.int64) - wanted).max() <= 1


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3]),
    st.integers(1, 50_000), st.booleans(),
)  # fmt: skip
def test_bands_give_the_same_pixels(
    height: int, width: int, to_height: int, to_width: int, channels: int, band: int, tied: bool
) -> None:
    image = noise(height, width, channels)
    if tied:
        image = image // 128 * 255  # many sums lie halfway between two grays
    assert_same(resize(image, to_height, to_width, band), resize(image, to_height, to_width, band=image.size))


@pytest.mark.parametrize(("size", "channels"), [((2100, 1800), 3), ((1700, 3001), 1), ((3001, 1700), 3)])
@pytest.mark.parametrize("target", [(28, 28), (224, 160)])
def test_a_large_image_gives_the_same_in_bands(size: tuple[int, int], channels: int, target: tuple[int, int]) -> None:
    image = noise(*size, channels)
    assert_same(resize(image, *target), resize(image, *target, band=image.size))
