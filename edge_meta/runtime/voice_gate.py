"""Tell stretches of a stream in which somebody may speak from those of noise alone, for a few operations a sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768.0
FIRST_FLOOR, LOWEST_FLOOR = -60.0, -70.0  # dB of full scale
RISE = 6.0  # dB a second, slower than words and faster than a fan that is switched on
FALL = 0.5  # share of the way down in one step


class VoiceGate:
    """Open while the sound is louder than the noise floor, and for a while after.

    The floor follows the level down at once and up slowly, as minimum statistics do (Martin 2001, "Noise power spectral
    density estimation"), over the whole band. It begins low, so that a word at the start of a stream is heard.

    Args:
        above: of the floor, in dB, at which the gate opens.
        step: seconds of sound in each call.
        hold: calls for which it stays open after the last loud one.

    Attributes:
        level: of the last step, in dB of full scale.
        floor: in dB of full scale.
    """

    def __init__(self, above: float, step: float, hold: int) -> None:
        self._above, self._rise, self._hold = above, RISE * step, hold
        self._left = 0
        self.level = self.floor = FIRST_FLOOR

    def __call__(self, samples: NDArray[np.int16]) -> bool:
        """Take one step of sound, int16 (n,); returns whether the gate is open."""
        self.level = level(samples)
        self._left = self._hold if self.level >= self.floor + self._above else self._left - 1
        if self.level < self.floor:
            self.floor = max(LOWEST_FLOOR, self.floor + FALL * (self.level - self.floor))
        else:
            self.floor = min(self.level, self.floor + self._rise)
        return self._left > 0


def level(samples: NDArray[np.int16]) -> float:
    """The power of samples around their mean, in dB of full scale; −120 at least."""
    power = float(np.var(samples, dtype=np.float64)) / FULL_SCALE**2
    return 10.0 * math.log10(max(power, 1e-12))
