"""Resample recordings, and cut windows out of them. A recording is an int16 array of shape (n,)."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.audio_files import FULL_SCALE, MOST_SAMPLES

ZERO_CROSSINGS = 16  # of the resampling filter on each side
CHUNK = 4096  # samples resampled at a time, and fewer where the filter is long, which bounds memory
MOST_PIECES = 1 << 18  # samples under the filters of one chunk
MOST_COEFFICIENTS = 1 << 23  # of all filters from one rate to another; 44,100 to 16,000 Hz takes 15,520


def fit(samples: NDArray[np.int16], window: int) -> NDArray[np.int16]:
    """Cut or pad a recording to `window` samples.

    A shorter one gets zeros at its end. Of a longer one, the stretch with the most energy is taken; the first of several.
    """
    if len(samples) <= window:
        return np.pad(samples, (0, window - len(samples)))
    start, loudest = 0, 0
    gained = 0  # energy of the window at the chunk's start, less that of the first window
    for first in range(0, len(samples) - window, CHUNK):
        last = min(first + CHUNK, len(samples) - window)
        entering = samples[first + window : last + window].astype(np.int64) ** 2
        energy = gained + np.cumsum(entering - samples[first:last].astype(np.int64) ** 2)
        best = int(np.argmax(energy))
        if energy[best] > loudest:
            start, loudest = first + best + 1, int(energy[best])
        gained = int(energy[-1])
    return samples[start : start + window]


def resample(samples: NDArray[np.int16], rate: int, target: int, name: str = "A recording") -> NDArray[np.int16]:
    """Resample a recording (n,) from `rate` to `target` Hz, to (round(n · target / rate),).

    Band-limited interpolation: a windowed sinc, cut off below the lower of the two Nyquist frequencies (Smith and Gossett
    1984, "A flexible sampling-rate conversion method"). Samples beyond the ends count as zero.

    Args:
        name: of the recording in messages.

    Raises:
        InputError: the result would have more than 67,108,864 samples, or the two rates need too many filters.
    """
    if rate == target:
        return samples
    common = gcd(rate, target)
    up, down = target // common, rate // common
    half = _half_width(up, down)
    taps = 2 * half + 1
    count = max(1, round(len(samples) * up / down))
    if count > MOST_SAMPLES or up * taps > MOST_COEFFICIENTS:
        raise InputError(
            f"{name} has {len(samples):,} samples at {rate:,} Hz, which takes too much to resample to {target:,} Hz.",
            "Cut it to the part that matters, and save it at the encoder's rate.",
        )
    filters = _sinc_filters(up, down)
    padded = np.pad(samples, half)
    resampled = np.empty(count, np.int16)
    step = max(1, min(CHUNK, MOST_PIECES // taps))
    for first in range(0, count, step):
        numbers = np.arange(first, min(first + step, count), dtype=np.int64)
        nearest = np.minimum(numbers * down // up, len(samples) - 1)
        stretch = padded[nearest[0] : nearest[-1] + taps].astype(np.float32)
        pieces = np.lib.stride_tricks.sliding_window_view(stretch, taps)[nearest - nearest[0]]
        filtered = np.einsum("nt,nt->n", pieces, filters[numbers * down % up])
        resampled[first : first + step] = np.clip(np.rint(filtered), -FULL_SCALE, FULL_SCALE - 1)
    return resampled


def _half_width(up: int, down: int) -> int:
    """Samples under a filter on each side of its centre."""
    return int(np.ceil(ZERO_CROSSINGS / _cutoff(up, down)))


def _cutoff(up: int, down: int) -> float:
    """The cutoff frequency, as a share of the recording's Nyquist frequency."""
    return 0.95 * min(1.0, up / down)


@lru_cache(maxsize=4)
def _sinc_filters(up: int, down: int) -> NDArray[np.float32]:
    """One filter for each position of an output sample between two input samples, (up, 2 · half + 1)."""
    cutoff, half = _cutoff(up, down), _half_width(up, down)
    filters = np.empty((up, 2 * half + 1), np.float32)
    step = max(1, MOST_PIECES // (2 * half + 1))
    for first in range(0, up, step):
        position = np.arange(first, min(first + step, up))[:, None] / up
        offsets = np.arange(-half, half + 1)[None, :] - position
        window = np.i0(8.0 * np.sqrt(np.maximum(0.0, 1.0 - (offsets / (half + 1)) ** 2))) / np.i0(8.0)
        weights = cutoff * np.sinc(cutoff * offsets) * window
        filters[first : first + step] = weights / weights.sum(axis=1, keepdims=True)
    return filters
