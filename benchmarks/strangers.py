"""Hours of sound in which nobody says an enrolled word: other words, machines that talk, music, noise.

Machines talk in sentences of words of Debian's `wamerican`, without Speech Commands' ten command words, by `espeak-ng` and
`flite`. Music is made here: plucked chords and a tune over a bass and drums, in any key and tempo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from machine_voices import COMMANDS, HUMAN_VOICES, LANGUAGES, VARIANTS, by_espeak, by_flite, lexicon, spoken
from numpy.typing import NDArray

from edge_meta.types import Array

RATE = 16000
MINUTE = 60 * RATE
OFTEN = 0.4  # words a second
PITCHED = 261.6  # Hz, of the note 0
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)

Samples = NDArray[np.int16]


def noise(samples: int, generator: np.random.Generator) -> Array:
    """Noise between white and pink, whose loudness wanders between −66 and −40 dB of full scale."""
    white = np.fft.rfft(generator.normal(size=samples))
    frequency = np.maximum(np.arange(len(white)) * RATE / samples, 20.0)
    pink = np.fft.irfft(white * frequency ** -generator.uniform(0, 0.5), samples)
    level = np.interp(np.arange(samples), np.linspace(0, samples, 9), 10 ** (generator.uniform(-66, -40, 9) / 20) * 32768)
    made: Array = (pink / pink.std() * level).astype(np.float32)
    return made


def minutes(recordings: Samples, generator: np.random.Generator) -> dict[str, Callable[[], Array]]:
    """Makers of a minute, float32 (960000,), by the kind of stranger.

    Args:
        recordings: of words, (n, 16000).
    """
    sentences = speech(generator)

    def words() -> Array:
        sound = noise(MINUTE, generator)
        for start in np.flatnonzero(generator.random(59) < OFTEN) * RATE + generator.integers(0, RATE // 2):
            sound[start : start + RATE] += recordings[generator.integers(len(recordings))]
        return sound

    def talk() -> Array:
        sound, at = noise(MINUTE, generator), 0
        while at < MINUTE:
            said = next(sentences)[: MINUTE - at] * generator.uniform(0.2, 1.0)
            sound[at : at + len(said)] += said
            at += len(said) + int(generator.uniform(0.1, 1.0) * RATE)
        return sound

    return {
        "words": words,
        "speech": talk,
        "music": lambda: noise(MINUTE, generator) + music(generator),
        "noise": lambda: noise(MINUTE, generator),
    }


def speech(generator: np.random.Generator) -> Iterator[Array]:
    """Sentences of 5 to 14 words by machines, each of another voice, float32 (n,)."""
    words = [word for word in lexicon() if word.isalpha() and word.lower() not in COMMANDS]
    while True:
        sentence = " ".join(generator.choice(words, generator.integers(5, 15)))
        language, variant, voice = (str(generator.choice(of)) for of in (LANGUAGES, VARIANTS, HUMAN_VOICES))
        command = by_espeak(sentence, language, variant, generator)
        yield spoken(by_flite(sentence, voice) if generator.random() < 0.3 else command, RATE).astype(np.float32)


def music(generator: np.random.Generator) -> Array:
    """A minute of a tune, float32 (960000,)."""
    scale = MAJOR if generator.random() < 0.5 else MINOR
    key, beat, bright = generator.integers(-7, 5), 60 / generator.uniform(70, 150), generator.uniform(0.3, 0.8)
    sound = np.zeros(MINUTE, np.float32)

    def add(seconds: float, tone: Array, loudness: float) -> None:
        start = round(seconds * RATE)
        tone = tone[: max(0, MINUTE - start)]
        sound[start : start + len(tone)] += loudness * tone

    def note(degree: int, octave: int, beats: float) -> Array:
        tone = key + scale[degree % 7] + 12 * (octave + degree // 7)
        return _plucked(PITCHED * 2 ** (tone / 12), beats * beat, bright)

    degree = 0
    for place in range(int(60 / beat)):
        at = place * beat
        if place % 4 == 0:
            root = int(generator.choice([0, 3, 4, 5]))
            add(at, note(root, -2, 4), 0.8)
            for third in (0, 2, 4):
                add(at, note(root + third, 0, 4), 0.3)
        for half in range(int(generator.integers(0, 3))):
            degree = int(np.clip(degree + generator.integers(-2, 3), -4, 9))
            add(at + half * beat / 2, note(degree, 1, 1), 0.4)
        drum = generator.normal(size=RATE // 8) * np.exp(-np.arange(RATE // 8) / (RATE / generator.choice([30, 90])))
        add(at, drum.astype(np.float32), 0.15)
    peak = 32768 * 10 ** (generator.uniform(-30, -6) / 20)
    made: Array = (sound / np.abs(sound).max() * peak).astype(np.float32)
    return made


def _plucked(hertz: float, seconds: float, bright: float) -> Array:
    """A tone of ten harmonics, each weaker and shorter than the one below."""
    at = np.arange(round(seconds * RATE)) / RATE
    orders = [order for order in range(1, 11) if order * hertz < RATE / 2]
    parts = [bright**order * np.sin(2 * np.pi * order * hertz * at) * np.exp(-at * (1 + order)) for order in orders]
    made: Array = (np.sum(parts, axis=0) * np.minimum(1.0, at / 0.01)).astype(np.float32)
    return made
