"""The result that every target gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
