"""Read sound files, within bounds of memory and time; the same for datasets and for the device.

A recording is mono: an int16 array of shape (n,). A .wav file needs only Python; a .flac file needs soundfile
(`pip install "edge-meta[audio]"`). A file's header is not trusted: what it claims is compared with the limits here and with
the file's size before anything is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError
from edge_meta.inputs.wav import BLOCK, mono, read_blocks, read_format

SUFFIXES = frozenset({".wav", ".flac"})
FULL_SCALE = 32768

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # Hz
MOST_SAMPLES = 1 << 26  # of a recording, each channel counted once: 70 minutes at 16 kHz, 23 at 48 kHz

CONVERT = "Remove it from the list, or convert it to 16-bit PCM .wav."

Blocks = Iterator[NDArray[Any]]
"""Samples (n, channels) in the range of int16."""


def read_audio(path: str | Path, most_samples: int = MOST_SAMPLES) -> tuple[NDArray[np.int16], int]:
    """Decode a file to mono int16 (n,) and its sample rate in Hz. Channels are averaged.

    Raises:
        InputError: the file is missing, has no samples or more than `most_samples`, has a rate below 1,000 or above
            768,000 Hz, or is not readable.
        BackendError: it is no .wav file, and soundfile is not installed.
    """
    read = _read_wav if Path(path).suffix.lower() == ".wav" else _read_with_soundfile
    try:
        samples, rate = read(path, most_samples)
    except (BackendError, InputError):
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder.", "Name the sound files in it.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a readable recording: {error}.", CONVERT) from None
    # Decoders raise whatever their parsing trips over, so every Exception here means a bad file.
    except Exception as error:
        raise InputError(f"{path} is not a readable recording ({type(error).__name__}: {error}).", CONVERT) from None
    if samples.size == 0:
        raise InputError(f"{path} has no samples.", "Check how it was recorded.")
    return samples, rate


def _read_wav(path: str | Path, most: int) -> tuple[NDArray[np.int16], int]:
    with open(path, "rb") as file:
        form = read_format(file)
        _check_rate(path, form.rate)
        there = os.fstat(file.fileno()).st_size - file.tell()
        if min(form.size, there) // form.frame > most:
            raise _too_long(path, most)
        return _mono(path, read_blocks(file, form), most), form.rate


def _read_with_soundfile(path: str | Path, most: int) -> tuple[NDArray[np.int16], int]:
    try:
        import soundfile
    except ImportError:
        raise BackendError(
            f"Reading {path} needs soundfile, which is not installed.", 'Run: pip install "edge-meta[audio]"'
        ) from None
    with open(path, "rb") as file, soundfile.SoundFile(file) as sound:
        _check_rate(path, sound.samplerate)
        return _mono(path, _sound_blocks(sound), most), int(sound.samplerate)


def _sound_blocks(sound: Any) -> Blocks:
    # The number of samples is certain at their end alone, and a small file can hold hours of silence.
    step = max(1, BLOCK // sound.channels)
    while len(block := sound.read(step, dtype="int16", always_2d=True)):
        yield block


def _check_rate(path: str | Path, rate: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError(
            f"{path} has a sample rate of {rate:,} Hz; {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz are read.",
            "Check how it was recorded, or resample it.",
        )


def _mono(path: str | Path, blocks: Blocks, most: int) -> NDArray[np.int16]:
    """Average the channels of blocks of samples (n, channels), as int16 (n,).

    Raises:
        InputError: they have more than `most` samples.
    """
    averaged, count = [np.empty(0, np.int16)], 0
    for block in blocks:
        count += len(block)
        if count > most:
            raise _too_long(path, most)
        averaged.append(mono(block))
    return np.concatenate(averaged)


def _too_long(path: str | Path, most: int) -> InputError:
    return InputError(f"{path} has more than {most:,} samples.", "Cut it to the part that matters.")


def to_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Turn samples (n,), int16 or float from −1 to 1, into int16.

    Raises:
        InputError: the dtype is another, or values are not finite or lie far outside of that range.
    """
    if samples.dtype == np.int16:
        return samples
    if samples.dtype.kind != "f":
        raise InputError(
            f"A recording of dtype {samples.dtype} was given; the encoder takes int16, or float from -1 to 1.",
            "Convert it to int16.",
        )
    if not np.isfinite(samples).all():
        raise InputError("A recording has values that are not finite.", "Check how it was made; see numpy.isfinite.")
    # Decoders overshoot full scale a little. Values far beyond it are integers cast to float.
    if np.abs(samples).max() > 2.0:
        raise InputError("A recording has values far outside of -1 to 1.", "Pass int16 samples, or divide them by 32768.")
    return np.clip(np.rint(samples * float(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
