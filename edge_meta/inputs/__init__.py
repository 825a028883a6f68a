"""What an encoder takes: the one owner of shape, dtype, value range and normalization, on the workstation and on the device.

An encoder takes images, recordings, or plain arrays, one example at a time. Each kind reads files and arrays into examples
of one dtype and shape, which is what a dataset holds, and turns an example into the values of encoder.tflite's input.
"""

from __future__ import annotations

from typing import Any

from edge_meta.inputs.array import ArrayInput
from edge_meta.inputs.audio import AudioInput
from edge_meta.inputs.image import ImageInput
from edge_meta.inputs.spec import InputSpec

__all__ = ["ArrayInput", "AudioInput", "ImageInput", "InputSpec", "input_from_manifest"]

_KINDS: dict[str, type[ImageInput] | type[AudioInput] | type[ArrayInput]] = {
    "image": ImageInput,
    "audio": AudioInput,
    "array": ArrayInput,
}


def input_from_manifest(fields: dict[str, Any]) -> InputSpec:
    """Raises KeyError, TypeError or ValueError when the fields are not those of an input's `to_manifest`."""
    kind = fields["kind"]
    if kind not in _KINDS:
        raise ValueError(f"input kind {kind!r} is unknown")
    return _KINDS[kind].from_manifest(fields)
