"""Cut a long recording at its pauses into the sounds between them, such as one word said five times."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.audio import AudioInput
from edge_meta.inputs.audio_files import FULL_SCALE, read_audio
from edge_meta.inputs.resampling import resample
from edge_meta.inputs.senses import require_sense

STEP = 0.01  # seconds of which one level is taken
SMOOTHED = 5  # steps
QUIETEST = -70.0  # dB of full scale; digital silence is no quieter
NOISE = 10  # percentile of the levels that is noise
LOUD = 98  # percentile that is sound
SHARE = 0.35  # of the way from noise to sound, in dB, from which a step is sound
LEAST_ABOVE = 8.0  # dB above the noise
LONGEST_GAP = 0.3  # seconds inside of one sound, as before the last t of "start"
SHORTEST = 0.1  # seconds; what is shorter is a click


class Cut(NamedTuple):
    """A sound of a longer recording.

    Attributes:
        start, end: of the sound, in seconds from the recording's start.
        samples: int16 (n,) at the encoder's rate: the sound and what surrounds it, up to the encoder's window, without any
            of the sounds beside it.
    """

    start: float
    end: float
    samples: NDArray[np.int16]


def read_cut(spec: AudioInput, path: str | Path) -> list[Cut]:
    """Read a .wav or .flac file and cut it at its pauses; one cut for each sound.

    Raises:
        InputError: the file is no recording, is unreadable, or no sound in it stands out from its noise.
        BackendError: it is a .flac file, and soundfile is not installed.
    """
    require_sense(path, spec.suffixes, spec.noun)
    samples, rate = read_audio(path)
    samples = resample(samples, rate, spec.sample_rate, str(path))
    sounds = find_sounds(samples, spec.sample_rate)
    if not sounds:
        raise InputError(f"No sound in {path} stands out from its noise.", "Record it nearer to the microphone.")
    borders = [0, *((end + start) // 2 for (_, end), (start, _) in pairwise(sounds)), len(samples)]
    cuts = []
    for (first, last), (lowest, highest) in zip(sounds, pairwise(borders), strict=True):
        margin = max(0, spec.samples - (last - first)) // 2
        around = samples[max(lowest, first - margin) : min(highest, last + margin)]
        cuts.append(Cut(first / spec.sample_rate, last / spec.sample_rate, around))
    return cuts


def find_sounds(samples: NDArray[np.int16], rate: int) -> list[tuple[int, int]]:
    """Find the stretches of a recording, int16 (n,), that are louder than its noise: the first sample of each, and its end.

    The noise floor is a low percentile of the levels of all steps, so at least a tenth of the recording must be pause.
    """
    step = max(1, round(STEP * rate))
    found = _levels(samples, step)
    if not len(found):
        return []
    noise, loud = np.percentile(found, (NOISE, LOUD))
    is_loud = found >= noise + max(LEAST_ABOVE, SHARE * (loud - noise))
    edges = np.flatnonzero(np.diff(is_loud.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    joined: list[list[int]] = []
    for first, last in edges.tolist():
        if joined and (first - joined[-1][1]) * STEP < LONGEST_GAP:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    return [(first * step, last * step) for first, last in joined if (last - first) * STEP >= SHORTEST]


def _levels(samples: NDArray[np.int16], step: int) -> NDArray[np.float64]:
    """The power of each step around its mean, smoothed, in dB of full scale, (n // step,)."""
    steps = samples[: len(samples) // step * step].reshape(-1, step)
    if not len(steps):
        return np.empty(0)
    power = np.pad(steps.var(axis=1, dtype=np.float64) / FULL_SCALE**2, SMOOTHED // 2, "edge")
    smooth = np.convolve(power, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
    return 10 * np.log10(np.maximum(smooth, 10 ** (QUIETEST / 10)))
