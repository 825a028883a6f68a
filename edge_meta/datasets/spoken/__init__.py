"""Spoken words, computed from a seed by a formant synthesizer, where there are no recordings.

Each recording has a voice, a speed, a room's noise and a loudness, and lies somewhere in its second.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.spoken.synthesizer import RATE, Voice, speak
from edge_meta.types import Array64

__all__ = ["RATE", "WORDS", "Said", "recording", "stream"]

WORDS = ("mano", "nalo", "lite", "rike", "suka", "malo", "lino", "pigu", "tego", "dafemo")  # some are near each other

SECOND = RATE  # samples of a recording
QUIET = 8.0, 30.0  # dB that the noise lies below the word
LOUD = -32.0, -20.0  # dB of full scale
COLOUR = 3.0  # dB an octave by which a microphone is brighter or duller, at most

Samples = NDArray[np.int16]


class Said(NamedTuple):
    """A word in a stream, and the seconds at which it begins and ends."""

    word: str
    start: float
    end: float


def recording(word: str, voice: int, seed: int = 0) -> Samples:
    """Record a word, int16 (16000,). The same arguments give the same samples on one machine.

    Args:
        word: one of `WORDS`, or of the letters that they have.
        voice: a number from 0; the same one sounds alike in all words.
    """
    rng = _rng(word, voice, seed)
    said = _said(word, voice, seed, rng)[:SECOND]
    start = round(np.clip((SECOND - len(said)) / 2 + rng.normal(0, 0.08 * RATE), 0, SECOND - len(said)))
    sound = _noise(SECOND, rng) * 10 ** (-rng.uniform(*QUIET) / 20)
    sound[start : start + len(said)] += said
    return _int16(_coloured(sound, rng.uniform(-COLOUR, COLOUR)) * 10 ** (rng.uniform(*LOUD) / 20))


def stream(words: Sequence[tuple[str, int]], every: float, seed: int = 0) -> tuple[Samples, list[Said]]:
    """Record words (word, voice), about one every so many seconds, in one room: int16 (n,), and where each word is."""
    rng = np.random.default_rng((seed, len(words)))
    sound = _noise(round(every * RATE) * (len(words) + 1), rng) * 10 ** (-sum(QUIET) / 2 / 20)
    found = []
    for number, (word, voice) in enumerate(words):
        said = _said(word, voice, seed, _rng(word, voice, seed)) * 10 ** (rng.uniform(-4, 4) / 20)
        start = round((every * (number + 0.5) + rng.uniform(0, 0.3) * every) * RATE)
        sound[start : start + len(said)] += said
        found.append(Said(word, start / RATE, (start + len(said)) / RATE))
    return _int16(sound * 10 ** (sum(LOUD) / 2 / 20)), found


def _rng(word: str, voice: int, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, zlib.crc32(word.encode()), voice))


def _said(word: str, voice: int, seed: int, rng: np.random.Generator) -> Array64:
    return speak(word, Voice.draw(np.random.default_rng((seed, voice))), rng)


def _noise(samples: int, rng: np.random.Generator) -> Array64:
    """Noise between white and pink, of unit power."""
    made = _coloured(rng.normal(size=samples), -rng.uniform(0, 3.01))
    scaled: Array64 = made / made.std()
    return scaled


def _coloured(sound: Array64, slope: float) -> Array64:
    """A sound (n,) whose spectrum is changed by so many dB an octave, and not at 1 kHz."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(sound), 1 / RATE), 50.0) / 1000)
    return np.fft.irfft(np.fft.rfft(sound) * 10 ** (slope * octaves / 20), len(sound))


def _int16(sound: Array64) -> Samples:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
