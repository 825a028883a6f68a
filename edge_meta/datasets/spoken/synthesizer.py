"""A formant synthesizer: pulses and noise through resonators (Klatt 1980, "Software for a cascade/parallel formant
synthesizer").

The filter changes every 5 ms. Each short piece of the source is multiplied by the resonators' response in the frequency
domain, and the pieces are added where they overlap, so that no loop runs over samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.spoken.sounds import FRAME, course
from edge_meta.types import Array64

RATE = 16000  # Hz
HOP, SIZE = round(FRAME * RATE), 1024  # samples: between pieces, and of a Fourier transform
HIGHER = ((3500.0, 200.0), (4500.0, 300.0), (5500.0, 400.0))  # formants that no sound moves, and bandwidths, in Hz
F1_WIDTH, PULSE_WIDTH = 70.0, 100.0  # Hz; the second is of the resonator that makes a glottal pulse
BREATH, HISS = 0.15, 0.0004  # of noise of full amplitude, next to pulses of 1; a sibilant is 10 dB below a vowel

Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class Voice:
    """Somebody who speaks.

    Attributes:
        pitch: in Hz, in the middle of a word.
        scale: of the formants; 1 for a man, about 1.17 for a woman and 1.3 for a child.
        speed: 1 is calm.
        breath: share of noise in the voice.
        fall: of the pitch over a word, as a share.
    """

    pitch: float
    scale: float
    speed: float
    breath: float
    fall: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Voice:
        """A new voice, between a deep and a child's."""
        size = rng.uniform()
        return cls(
            pitch=float(105 * (255 / 105) ** size * np.exp(rng.normal(0, 0.08))),
            scale=float((0.97 + 0.3 * size) * np.exp(rng.normal(0, 0.03))),
            speed=float(rng.uniform(0.85, 1.25)),
            breath=float(rng.uniform(0.02, 0.2)),
            fall=float(rng.uniform(0.05, 0.35)),
        )


def speak(word: str, voice: Voice, rng: np.random.Generator) -> Array64:
    """Say a word: samples (n,) at RATE, of unit power where it is loud.

    Args:
        word: see `course`.
        rng: for what is never the same twice.
    """
    values = course(word, voice.speed * rng.uniform(0.93, 1.07))
    formants = values[:, :3] * voice.scale * np.exp(rng.normal(0, 0.03, 3))
    count = len(values) * HOP
    pitch = voice.pitch * np.exp(rng.normal(0, 0.04)) * (1 + voice.fall * np.linspace(0.5, -0.5, count))
    voiced, breath, hiss = (np.repeat(values[:, column], HOP) for column in (4, 5, 6))
    throat = _pulses(pitch, rng) * voiced + rng.normal(0, BREATH, count) * (breath + voice.breath * voiced)
    tract = _radiation() * _resonances(formants, values[:, 3], voice.scale)
    narrow = _resonance(values[:, 7] * voice.scale**0.5, values[:, 8])
    narrow /= np.abs(narrow).max(axis=1, keepdims=True)
    made = _filtered(throat, _resonance(np.zeros(1), np.full(1, PULSE_WIDTH)) * tract)
    made += _filtered(rng.normal(0, HISS, count) * hiss, narrow)
    scaled: Array64 = made / np.sqrt(np.mean(np.sort(made**2)[len(made) // 2 :]))
    return scaled


def _pulses(pitch: Array64, rng: np.random.Generator) -> Array64:
    """A pulse of one in each period of the pitch (n,) in Hz; periods differ by 1 %."""
    phase = np.cumsum(pitch) / RATE
    at = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)))
    at += rng.normal(0, 0.01, len(at)) * RATE / pitch[at.astype(int)]
    at = at.clip(0, len(pitch) - 2)
    first, share = at.astype(int), at % 1  # a pulse between two samples is shared by them
    pulses = np.zeros(len(pitch))
    np.add.at(pulses, first, 1 - share)
    np.add.at(pulses, first + 1, share)
    return pulses


def _turns() -> Complex:
    """z⁻¹ at the frequencies of a Fourier transform, (SIZE / 2 + 1,)."""
    turns: Complex = np.exp(-2j * np.pi * np.arange(SIZE // 2 + 1) / SIZE)
    return turns


def _radiation() -> Complex:
    """The response of the lips: a difference."""
    return 1 - _turns()


def _resonance(frequency: Array64, width: Any) -> Complex:
    """Responses (frames, SIZE / 2 + 1) of resonators in Hz, with unit gain at 0 Hz (Klatt 1980, eqs. 1 and 2)."""
    c = -np.exp(-2 * np.pi * np.asarray(width) / RATE)
    b = 2 * np.sqrt(-c) * np.cos(2 * np.pi * frequency / RATE)
    a, turns = 1 - b - c, _turns()
    response: Complex = a[:, None] / (1 - b[:, None] * turns - c[:, None] * turns**2)
    return response


def _resonances(formants: Array64, b2: Array64, scale: float) -> Complex:
    """The vocal tract: all formants in a row, formants (frames, 3)."""
    frames = len(formants)
    response = _resonance(formants[:, 0], np.full(frames, F1_WIDTH))
    for at, wider in ((1, 1.0), (2, 1.5)):
        response = response * _resonance(formants[:, at], wider * b2)
    for frequency, width in HIGHER:
        response = response * _resonance(np.full(frames, min(frequency * scale, 0.47 * RATE)), np.full(frames, width))
    return response


def _filtered(source: Array64, responses: Complex) -> Array64:
    """A source (frames · HOP,) through filters (frames, SIZE / 2 + 1), by overlapping pieces of two hops."""
    frames = len(source) // HOP
    padded = np.concatenate([source, np.zeros(HOP)])
    pieces = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][:frames]
    window = np.sin(np.pi * (np.arange(2 * HOP) + 0.5) / (2 * HOP)) ** 2  # these add up to one
    ringing = np.fft.irfft(np.fft.rfft(pieces * window, SIZE, axis=1) * responses, SIZE, axis=1)
    made = np.zeros(len(source) + SIZE)
    for frame, piece in enumerate(ringing):
        made[frame * HOP : frame * HOP + SIZE] += piece
    return made[: len(source)]
