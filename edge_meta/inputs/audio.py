"""Recordings as an encoder's input: a window of samples at a sample rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.audio_files import FULL_SCALE, SUFFIXES, read_audio, to_int16
from edge_meta.inputs.resampling import fit, resample
from edge_meta.inputs.senses import require_sense
from edge_meta.inputs.spec import InputSpec


@dataclass(frozen=True)
class AudioInput(InputSpec):
    """A recording: mono int16 samples, which the encoder takes as float32 from −1 to 1.

    A shorter recording is padded with zeros at its end. Of a longer one, the window with the most energy is taken.

    Attributes:
        samples: the window's length.
        sample_rate: samples a second. Files of another rate are resampled; arrays must have this rate.
    """

    noun: ClassVar[str] = "recording"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES

    samples: int
    sample_rate: int = 16000

    @property
    def shape(self) -> tuple[int]:
        return (self.samples,)

    def __str__(self) -> str:
        return f"{self.samples} samples at {self.sample_rate} Hz"

    def read(self, example: Any) -> NDArray[np.int16]:
        """Read one recording, the path of a .wav or .flac file or mono samples (n,), as int16 (samples,).

        Raises:
            InputError: the file is unreadable or over the limits of `audio_files` and `resampling`, or the array is empty,
                not of rank 1, or not int16 or float from −1 to 1.
            BackendError: it is a .flac file, and soundfile is not installed.
        """
        require_sense(example, self.suffixes, self.noun)
        if isinstance(example, (str, Path)):
            recorded, rate = read_audio(example)
            return fit(resample(recorded, rate, self.sample_rate, str(example)), self.samples)
        self.require_one(example)
        try:
            recorded = np.asarray(example)
        except ValueError:
            raise InputError("A recording is a list of rows of different lengths.", "Pass an int16 array.") from None
        if recorded.ndim == 1 and recorded.size == 0:
            raise InputError("The recording has no samples.", "Check how it was recorded, or cut.")
        if recorded.ndim != 1:
            raise InputError(
                f"A recording of shape {recorded.shape} was given; the encoder takes mono samples, (n,).",
                "Average its channels, and pass one recording at a time here.",
            )
        return fit(to_int16(recorded), self.samples)

    def normalize(self, example: NDArray[np.int16]) -> NDArray[np.float32]:
        """Turn int16 (..., samples) into float32 from −1 to 1."""
        normalized: NDArray[np.float32] = example.astype(np.float32) / np.float32(FULL_SCALE)
        return normalized

    def synthetic(self, rng: np.random.Generator, count: int) -> NDArray[np.int16]:
        return rng.integers(-FULL_SCALE // 4, FULL_SCALE // 4, (count, self.samples), np.int16)

    def to_manifest(self) -> dict[str, Any]:
        return {"kind": "audio", "dtype": "int16", "range": [-1.0, 1.0], "fit": "zeros-behind-or-loudest", **asdict(self)}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> AudioInput:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        if fields["dtype"] != "int16" or fields["range"] != [-1.0, 1.0] or fields["fit"] != "zeros-behind-or-loudest":
            raise ValueError("input dtype, range or fit is unknown")
        samples, sample_rate = int(fields["samples"]), int(fields["sample_rate"])
        if not (1 <= samples <= 10_000_000 and 1 <= sample_rate <= 1_000_000):
            raise ValueError("input samples or sample rate is out of range")
        return cls(samples, sample_rate)
