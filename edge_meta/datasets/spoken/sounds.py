"""Vowels and consonants as courses of a synthesizer's parameters, and how they follow each other in a word.

Vowels have the mean formants of 33 men (Peterson and Barney 1952, "Control methods used in a study of the vowels", table
II). Consonants are coarse: a place for the formants to come from, and a noise. As in Klatt 1980, a word is a list of
times and values, and values in between lie on straight lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edge_meta.types import Array64

FRAME = 0.005  # seconds between the values of a course
VOWEL, EDGE = 0.13, 0.03  # seconds: a vowel, and the way to and from its target
STRESS = 1.3  # the first vowel is so much longer


class Target(NamedTuple):
    """Parameters of the synthesizer at one time.

    Attributes:
        f1, f2, f3: formants in Hz, for a man.
        b2: bandwidth of the second and third in Hz; nasals damp them.
        voice, breath, hiss: amplitudes of the pulses, and of the noise in the throat and at a narrow place.
        centre, width: of the hiss's spectrum, in Hz.
    """

    f1: float
    f2: float
    f3: float
    b2: float = 90.0
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    centre: float = 4000.0
    width: float = 2000.0


class Consonant(NamedTuple):
    """A consonant.

    Attributes:
        target: at its middle, or for a plosive while it bursts.
        seconds: its length, or for a plosive that of its closure.
        plosive: whether it is a closure and a burst.
    """

    target: Target
    seconds: float
    plosive: bool = False


VOWELS = {
    "a": Target(730, 1090, 2440, voice=1.0),
    "e": Target(530, 1840, 2480, voice=1.0),
    "i": Target(270, 2290, 3010, voice=1.0),
    "o": Target(570, 840, 2410, voice=1.0),
    "u": Target(300, 870, 2240, voice=1.0),
}
CONSONANTS = {
    "m": Consonant(Target(270, 1100, 2150, 300, voice=0.6), 0.08),
    "n": Consonant(Target(270, 1600, 2550, 300, voice=0.6), 0.07),
    "l": Consonant(Target(320, 1100, 2850, 150, voice=0.7), 0.07),
    "r": Consonant(Target(320, 1080, 1450, 120, voice=0.7), 0.07),
    "s": Consonant(Target(320, 1500, 2550, hiss=0.7, centre=6000, width=1800), 0.12),
    "f": Consonant(Target(320, 1050, 2150, hiss=0.25, centre=4500, width=6000), 0.10),
    "p": Consonant(Target(320, 900, 2150, breath=0.5, hiss=0.15, centre=1200, width=1800), 0.07, plosive=True),
    "t": Consonant(Target(320, 1700, 2650, breath=0.5, hiss=0.35, centre=4500, width=2000), 0.07, plosive=True),
    "k": Consonant(Target(300, 1950, 2600, breath=0.5, hiss=0.3, centre=2000, width=800), 0.07, plosive=True),
    "b": Consonant(Target(200, 900, 2150, voice=0.3, hiss=0.1, centre=900, width=1500), 0.06, plosive=True),
    "d": Consonant(Target(200, 1700, 2650, voice=0.3, hiss=0.2, centre=3800, width=2000), 0.06, plosive=True),
    "g": Consonant(Target(200, 1950, 2600, voice=0.3, hiss=0.15, centre=1900, width=800), 0.06, plosive=True),
}


def course(word: str, speed: float) -> Array64:
    """The parameters of a word in its time: (frames, 9), every FRAME seconds, in the order of `Target`.

    Args:
        word: of the letters in `VOWELS` and `CONSONANTS`.
        speed: 1 is calm.
    """
    times, targets, at, stressed = [0.0], [VOWELS["a"]._replace(voice=0.0)], 0.02, True
    for letter in word:
        points = list(_vowel(VOWELS[letter], stressed)) if letter in VOWELS else list(_consonant(CONSONANTS[letter]))
        stressed = stressed and letter not in VOWELS
        for after, target in points[:-1]:
            times.append(at + after / speed)
            targets.append(target)
        at += points[-1][0] / speed
    targets[0] = targets[1]._replace(voice=0.0, breath=0.0, hiss=0.0)
    times.append(at + 0.04)
    targets.append(targets[-1]._replace(voice=0.0, breath=0.0, hiss=0.0))
    frames = np.arange(0, times[-1], FRAME)
    return np.stack([np.interp(frames, times, column) for column in np.array(targets, np.float64).T], axis=1)


def _vowel(target: Target, stressed: bool) -> Iterator[tuple[float, Target]]:
    """Times in seconds and targets; the last time is the vowel's end."""
    seconds = VOWEL * (STRESS if stressed else 1)
    yield EDGE, target
    yield seconds - EDGE, target
    yield seconds, target


def _consonant(consonant: Consonant) -> Iterator[tuple[float, Target]]:
    target, seconds, plosive = consonant
    if not plosive:
        yield 0.015, target
        yield seconds - 0.015, target
        yield seconds, target
        return
    closed = target._replace(f1=200.0, breath=0.0, hiss=0.0)
    yield 0.012, closed
    yield seconds, closed
    yield seconds + 0.002, target
    yield seconds + 0.012, target
    yield seconds + 0.016, target._replace(hiss=0.0)
    yield seconds + 0.016 + 0.5 * EDGE * (target.breath > 0), target._replace(hiss=0.0)
    yield seconds + 0.02 + 0.5 * EDGE * (target.breath > 0), target
