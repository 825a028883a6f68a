"""Read sound files, resample recordings, and cut windows; the same for datasets and for the device.

A recording is mono: an int16 array of shape (n,). A .wav file needs only Python; a .flac file needs soundfile
(`pip install "edge-meta[audio]"`).
"""

from __future__ import annotations

import wave
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError

SUFFIXES = frozenset({".wav", ".flac"})
FULL_SCALE = 32768
ZERO_CROSSINGS = 16  # of the resampling filter on each side
CHUNK = 4096  # samples resampled at a time, which bounds memory

CONVERT = "Remove it from the list, or convert it to 16-bit PCM .wav."


def read_audio(path: str | Path) -> tuple[NDArray[np.int16], int]:
    """Decode a file to mono int16 (n,) and its sample rate in Hz. Channels are averaged.

    Raises:
        InputError: the file is missing, has no samples, or is not readable.
        BackendError: it is no .wav file, and soundfile is not installed.
    """
    read = _read_wav if Path(path).suffix.lower() == ".wav" else _read_with_soundfile
    try:
        samples, rate = read(path)
    except BackendError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder.", "Name the sound files in it.") from None
    # Decoders raise whatever their parsing trips over, so every Exception here means a bad file.
    except Exception as error:
        raise InputError(f"{path} is not a readable recording ({type(error).__name__}: {error}).", CONVERT) from None
    if samples.size == 0 or rate < 1:
        raise InputError(f"{path} has no samples.", "Check how it was recorded.")
    return np.rint(samples.mean(axis=1)).astype(np.int16), rate


def _read_wav(path: str | Path) -> tuple[NDArray[Any], int]:
    """Read integer PCM as samples (n, channels) in the range of int16, and the sample rate."""
    with wave.open(str(path)) as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        content = file.readframes(file.getnframes())
    content = content[: len(content) // (width * channels) * (width * channels)]
    if width == 1:
        values = (np.frombuffer(content, np.uint8).astype(np.float32) - 128.0) * 256.0
    elif width == 3:
        # Keep the upper two bytes of three.
        parts = np.frombuffer(content, np.uint8).reshape(-1, 3)
        values = np.ascontiguousarray(parts[:, 1:]).view("<i2")[:, 0].astype(np.float32)
    elif width == 2:
        values = np.frombuffer(content, "<i2").astype(np.float32)
    else:
        values = np.clip(np.frombuffer(content, "<i4") / 65536.0, -FULL_SCALE, FULL_SCALE - 1)
    return values.reshape(-1, channels), rate


def _read_with_soundfile(path: str | Path) -> tuple[NDArray[Any], int]:
    try:
        import soundfile
    except ImportError:
        raise BackendError(
            f"Reading {path} needs soundfile, which is not installed.", 'Run: pip install "edge-meta[audio]"'
        ) from None
    with open(path, "rb") as file:
        samples, rate = soundfile.read(file, dtype="int16", always_2d=True)
    return samples, int(rate)


def to_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Turn samples (n,), int16 or float from −1 to 1, into int16.

    Raises:
        InputError: the dtype is another, or values lie far outside of that range.
    """
    if samples.dtype == np.int16:
        return samples
    if samples.dtype.kind != "f":
        raise InputError(
            f"A recording of dtype {samples.dtype} was given; the encoder takes int16, or float from -1 to 1.",
            "Convert it to int16.",
        )
    # Decoders overshoot full scale a little. Values far beyond it are integers cast to float.
    if not np.isfinite(samples).all() or np.abs(samples).max() > 2.0:
        raise InputError("A recording has values far outside of -1 to 1.", "Pass int16 samples, or divide them by 32768.")
    return np.clip(np.rint(samples * float(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def fit(samples: NDArray[np.int16], window: int) -> NDArray[np.int16]:
    """Cut or pad a recording to `window` samples.

    A shorter one gets zeros at its end. Of a longer one, the stretch with the most energy is taken.
    """
    if len(samples) <= window:
        return np.pad(samples, (0, window - len(samples)))
    energy = np.concatenate([[0], np.cumsum(samples.astype(np.int64) ** 2)])
    start = int(np.argmax(energy[window:] - energy[:-window]))
    return samples[start : start + window]


def resample(samples: NDArray[np.int16], rate: int, target: int) -> NDArray[np.int16]:
    """Resample a recording (n,) from `rate` to `target` Hz, to (round(n · target / rate),).

    Band-limited interpolation: a windowed sinc, cut off below the lower of the two Nyquist frequencies (Smith and Gossett
    1984, "A flexible sampling-rate conversion method"). Samples beyond the ends count as zero.
    """
    if rate == target:
        return samples
    common = gcd(rate, target)
    up, down = target // common, rate // common
    filters = _sinc_filters(up, down)
    half = filters.shape[1] // 2
    padded = np.pad(samples.astype(np.float32), half)
    resampled = np.empty(max(1, round(len(samples) * up / down)), np.float32)
    taps = np.arange(filters.shape[1])
    for first in range(0, len(resampled), CHUNK):
        numbers = np.arange(first, min(first + CHUNK, len(resampled)), dtype=np.int64)
        nearest = np.minimum(numbers * down // up, len(samples) - 1)
        pieces = padded[nearest[:, None] + taps]
        resampled[numbers] = np.einsum("nt,nt->n", pieces, filters[numbers * down % up])
    return np.clip(np.rint(resampled), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


@lru_cache(maxsize=4)
def _sinc_filters(up: int, down: int) -> NDArray[np.float32]:
    """One filter for each position of an output sample between two input samples, (up, 2 · half + 1)."""
    cutoff = 0.95 * min(1.0, up / down)
    half = int(np.ceil(ZERO_CROSSINGS / cutoff))
    offsets = np.arange(-half, half + 1)[None, :] - (np.arange(up) / up)[:, None]
    window = np.i0(8.0 * np.sqrt(np.maximum(0.0, 1.0 - (offsets / (half + 1)) ** 2))) / np.i0(8.0)
    filters = cutoff * np.sinc(cutoff * offsets) * window
    normalized: NDArray[np.float32] = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalized
