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
        files: content by file name, encoder.tflite among them; without the manifest and the model card.
        facts: the manifest's fields of the target, without its name.
        usage: Markdown for the end of the model card.
    """

    files: dict[str, bytes]
    facts: dict[str, Any]
    usage: str


def image_input(bundle: Bundle, target: str) -> ImageInput:
    """Require a bundle of images; returns its input.

    Raises:
        ExportError: the bundle takes another kind of input.
    """
    input_spec = bundle.manifest.input_spec
    if not isinstance(input_spec, ImageInput):
        raise ExportError(
            f"{bundle.path} takes {input_spec.noun}s, and {target} is for images.",
            "Use the bundle itself, or another target.",
        )
    return input_spec
