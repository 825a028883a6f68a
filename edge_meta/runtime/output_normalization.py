"""Normalize what an encoder's file gives outside of the file, so that one in integers stays so from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_meta.types import Array

SHORTEST = 1e-6  # below this length a centred output has no direction


@dataclass(frozen=True)
class OutputNormalization:
    """Turn an output x of encoder.tflite into the embedding: scale · (x − centre) / ‖x − centre‖, or scale · x.

    Attributes:
        scale: also the length of the embedding, if there is a centre.
        centre: (D,), float32 values, or None.
    """

    scale: float
    centre: tuple[float, ...] | None = None

    def apply(self, outputs: Array) -> Array:
        """Normalize outputs (..., D), dequantized float32."""
        if self.centre is not None:
            outputs = outputs - np.array(self.centre, np.float32)
            outputs = outputs / np.maximum(np.linalg.norm(outputs, axis=-1, keepdims=True), np.float32(SHORTEST))
        embeddings: Array = (np.float32(self.scale) * outputs).astype(np.float32)
        return embeddings

    def to_manifest(self) -> dict[str, Any]:
        """The optional fields `scale` and `centre` of the manifest's `embedding`."""
        return {"scale": self.scale, **({"centre": list(self.centre)} if self.centre is not None else {})}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any], dim: int) -> OutputNormalization | None:
        """Read the fields of `to_manifest`; None if they are not there.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        if "scale" not in fields and "centre" not in fields:
            return None
        scale = float(fields["scale"])
        centre = tuple(float(value) for value in fields["centre"]) if "centre" in fields else None
        if not 0.0 < scale < 1e30:
            raise ValueError("the scale of embeddings is out of range")
        if centre is not None and (len(centre) != dim or not all(abs(value) < 1e30 for value in centre)):
            raise ValueError("the centre is not that of an embedding")
        return cls(scale, centre)
