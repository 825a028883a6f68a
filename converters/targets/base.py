"""The result that every target gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.calibration.embedding_normalization import EmbeddingNormalization
from converters.tflite.metadata import with_metadata
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.output_normalization import OutputNormalization


@dataclass(frozen=True)
class TargetFiles:
    """A target's part of a bundle.

    Attributes:
        files: content by file name, encoder.tflite among them; without the manifest and the model card.
        facts: the manifest's fields of the target, without its name.
        usage: Markdown for the end of the model card.
        normalization: of the file's output, where the target takes it out of the file; None leaves it as the bundle has it.
    """

    files: dict[str, bytes]
    facts: dict[str, Any]
    usage: str
    normalization: OutputNormalization | None = None


def normalized_in_file(bundle: Bundle) -> Bundle:
    """The bundle with a file that normalizes its output itself, by operators in float32.

    For programs that know nothing of the manifest's `embedding.centre` and `embedding.scale`.
    """
    outside, manifest = bundle.manifest.normalization, bundle.manifest
    if outside is None:
        return bundle
    centre = None if outside.centre is None else np.array(outside.centre, np.float32)
    model = EmbeddingNormalization(centre, outside.scale).add_to(bundle.model, manifest.input_spec.noun)
    if isinstance(manifest.input_spec, ImageInput):
        model = with_metadata(model, manifest.input_spec, manifest.dim, "not stated")
    return replace(bundle, model=model, manifest=replace(manifest, normalization=None))


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
