"""Resize images; the same for training and for the device. An image is a uint8 array of shape (height, width, channels)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BAND = 1 << 22  # values that are turned into float32 at a time, which bounds memory
CACHED = 1 << 18  # values of the largest filter that is kept
FILTER_BAND = 1 << 20  # values of a filter that are computed at a time


def resize(image: NDArray[np.uint8], height: int, width: int, band: int = BAND) -> NDArray[np.uint8]:
    """Resize an image, uint8 (h, w, c), to uint8 (height, width, c). The aspect ratio may change.

    Antialiased linear interpolation: a triangle filter as wide as the shrink factor (Turkowski 1990, "Filters for common
    resampling tasks"). It is separable, so two small matrix products do it. The result is rounded to uint8, so that an image
    resized beforehand has the same embedding as one resized here.

    Args:
        band: values of a large image that are turned into float32 at a time; the result is the same, but that sums
            halfway between two grays may be rounded to either.
    """
    if image.shape[:2] == (height, width):
        return image
    rows, columns = _triangle_filter(image.shape[0], height), _triangle_filter(image.shape[1], width)
    if image.size <= band:
        resized = np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float32), columns, optimize=True)
    else:
        resized = _in_bands(image, rows, columns, band)
    pixels: NDArray[np.uint8] = np.clip(np.rint(resized), 0, 255).astype(np.uint8)
    return pixels


def _in_bands(
    image: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32], band: int
) -> NDArray[np.float32]:
    """The same two products as einsum makes of the whole image, in its order, and with the first in bands."""
    path, _ = np.einsum_path("yh,hwc,xw->yxc", rows, image, columns, optimize=True)
    height, width, channels = image.shape
    if path[1] == (0, 1):  # rows first
        step = max(1, band // (height * channels))
        shrunk = np.empty((len(rows), width, channels), np.float32)
        for first in range(0, width, step):
            part = image[:, first : first + step].astype(np.float32)
            shrunk[:, first : first + step] = np.einsum("yh,hwc->ywc", rows, part, optimize=True)
        return np.asarray(np.einsum("ywc,xw->yxc", shrunk, columns, optimize=True))
    step = max(1, band // (width * channels))
    shrunk = np.empty((height, len(columns), channels), np.float32)
    for first in range(0, height, step):
        part = image[first : first + step].astype(np.float32)
        shrunk[first : first + step] = np.einsum("hwc,xw->hxc", part, columns, optimize=True)
    return np.asarray(np.einsum("yh,hxc->yxc", rows, shrunk, optimize=True))


def _triangle_filter(size: int, target: int) -> NDArray[np.float32]:
    return (_kept_filter if size * target <= CACHED else _new_filter)(size, target)


def _new_filter(size: int, target: int) -> NDArray[np.float32]:
    """The (target, size) matrix that resamples one axis; its rows sum to one."""
    step = size / target
    support = max(step, 1.0)
    positions = np.arange(size) + 0.5
    normalized = np.empty((target, size), np.float32)
    band = max(1, FILTER_BAND // size)
    for first in range(0, target, band):
        centers = (np.arange(first, min(first + band, target)) + 0.5) * step
        offsets = positions[None, :] - centers[:, None]
        weights = np.maximum(0.0, 1.0 - np.abs(offsets) / support)
        normalized[first : first + band] = weights / weights.sum(axis=1, keepdims=True)
    return normalized


_kept_filter = lru_cache(maxsize=64)(_new_filter)
