"""Calls of made-up birds, for bundles of sound."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000  # Hz


def call(kind: int, take: int, at: float = 0.2, loudness: float = 0.3) -> NDArray[np.int16]:
    """A second with a call: rising, falling, or two short tones; each take of another pitch, length and noise."""
    rng = np.random.default_rng((kind, take))
    length = rng.uniform(0.35, 0.45)
    time = np.arange(int(length * RATE)) / RATE
    part, base = time / length, rng.uniform(0.9, 1.1)
    pitch = base * np.array([500 + 1500 * part, 2000 - 1500 * part, np.where(part < 0.5, 600, 1500)][kind])
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.4 * np.sin(4 * np.pi * np.cumsum(pitch) / RATE)
    sound = rng.normal(0, 0.003, RATE)
    start = int(at * RATE)
    sound[start : start + len(tone)] += tone * np.sin(np.pi * part)
    return (sound * loudness * 16000).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = RATE) -> Path:
    """Write mono samples to a .wav file; returns its path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path
