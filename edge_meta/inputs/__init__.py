"""The input of an encoder: its shape, dtype, value range and normalization, the same on the workstation and on the device.

An encoder takes images, recordings, plain arrays, or series, which are arrays of any length with named columns; one example
at a time. Each kind has a specification (`image`, `audio`, `array`, `series`), and files (`image_files`, `audio_files`,
`array_files`), which bound what reading one may cost. A specification reads files and arrays into examples of one dtype and
shape, which a dataset holds, and normalizes an example to the values that encoder.tflite takes.
"""

from __future__ import annotations

from typing import Any

from edge_meta.inputs.array import ArrayInput
from edge_meta.inputs.audio import AudioInput
from edge_meta.inputs.image import ImageInput
from edge_meta.inputs.series import SeriesInput
from edge_meta.inputs.spec import InputSpec

__all__ = ["ArrayInput", "AudioInput", "ImageInput", "InputSpec", "SeriesInput", "input_from_manifest"]

_KINDS: dict[str, type[ImageInput] | type[AudioInput] | type[ArrayInput]] = {
    "image": ImageInput,
    "audio": AudioInput,
    "array": ArrayInput,
}


def input_from_manifest(fields: dict[str, Any]) -> InputSpec:
    """The specification of an input from the fields of its `to_manifest`.

    Raises:
        KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
    """
    kind = fields["kind"]
    if kind not in _KINDS:
        raise ValueError(f"input kind {kind!r} is unknown")
    if kind == "array" and "channels" in fields:
        return SeriesInput.from_manifest(fields)
    return _KINDS[kind].from_manifest(fields)
