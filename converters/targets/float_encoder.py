"""Take the encoder alone out of a bundle as it is, float32 in and out, for boards whose sensors give numbers."""

from __future__ import annotations

from dataclasses import dataclass

from converters.tflite.edit import encoder_alone, serialize
from converters.tflite.model import ModelFile, OperatorInfo
from edge_meta.runtime.bundle import Bundle


@dataclass(frozen=True)
class FloatEncoder:
    """A bundle's encoder without its heads; what is between its float32 ends may be int8.

    Attributes:
        model: the file's bytes, with one subgraph and the signature `embed`.
    """

    model: bytes
    operators: tuple[OperatorInfo, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> FloatEncoder:
        """Take the encoder out of a bundle."""
        model = serialize(encoder_alone(bundle.model))
        return cls(model, ModelFile.parse(model).subgraphs[0])
