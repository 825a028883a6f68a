"""Warn of colour photos that are given to an encoder of grey drawings, whose embeddings of them mean little."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from edge_meta.errors import ColourWarning
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_conversion import is_pillow_image
from edge_meta.inputs.image_files import is_colourful
from edge_meta.runtime.manifest import Manifest

DRAWINGS = ("omniglot", "lake", "glyphs")  # datasets of characters


class ColourCheck:
    """A check of each image of a classifier, which warns once.

    Args:
        manifest: of the bundle. Nothing is checked where its encoder takes colours, or was trained on other than drawings.
    """

    def __init__(self, manifest: Manifest) -> None:
        takes_grey = isinstance(manifest.input_spec, ImageInput) and manifest.input_spec.channels == 1
        self._due = takes_grey and manifest.training.get("dataset") in DRAWINGS

    def __call__(self, example: Any) -> None:
        """Check an example that has been read; arrays have no colours to lose."""
        is_file = isinstance(example, (str, Path))
        if self._due and (is_file or is_pillow_image(example)) and is_colourful(example):
            self._due = False
            name = example if is_file else getattr(example, "filename", "") or "The image"
            warnings.warn(
                ColourWarning(
                    f"{name} is a colour photo, but this bundle reads grey drawings; for photos, use a bundle that was "
                    "trained on them in colour (edge-meta train --rgb)."
                ),
                stacklevel=3,
            )
