"""The result that every target gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle


@dataclass(frozen=True)
class TargetFiles:
    """A target's part of a bundle.

    Attributes:
        files: content by file name, encoder.tflite among them; the manifest and the model card come on top.
        facts: what the manifest says of the target, beside its name.
        usage: Markdown that the model card ends with.
    """

    files: dict[str, bytes]
    facts: dict[str, Any]
    usage: str


def image_input(bundle: Bundle, target: str) -> ImageInput:
    """A bundle's input, for a target that takes images alone.

    Raises:
        ExportError: the bundle takes something else.
    """
    input_spec = bundle.manifest.input_spec
    if not isinstance(input_spec, ImageInput):
        raise ExportError(
            f"{bundle.path} takes {input_spec.noun}s, and {target} is for images.",
            "Use the bundle itself, or another target.",
        )
    return input_spec
