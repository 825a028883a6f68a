"""Write and read TFLite metadata: what a model's input and output mean, for programs that use it, such as MediaPipe.

It is a flatbuffer of its own (file identifier M001, TensorFlow's metadata_schema.fbs 1.5) in the model's buffer that the
entry TFLITE_METADATA names. Files that it refers to, such as labels, are a zip archive after the model's end.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table
from numpy.typing import NDArray

from converters.tflite.edit import add_metadata, serialize
from converters.tflite.model import parse
from edge_meta.inputs import ImageInput

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"

# Members of the schema's unions and enums.
IMAGE_PROPERTIES, FEATURE_PROPERTIES = 2, 1
CONTENTS = {IMAGE_PROPERTIES: "image", 4: "audio"}
RGB, GRAYSCALE = 1, 2
NORMALIZATION = 1
TENSOR_AXIS_LABELS = 2


def with_metadata(content: bytes, input_spec: ImageInput, dim: int, licence: str) -> bytes:
    """An encoder's file with metadata, in place of any that it had. The encoder id stays.

    Args:
        input_spec: gives the size, the colours, and the normalization (pixel − mean) / std.
        dim: of the embedding.
        licence: of the data that the encoder was trained on.
    """
    table = _Writer()
    shape = "×".join(str(side) for side in input_spec.shape)
    output = table.of({0: "embedding", 1: f"{dim} values; images of one class lie near each other", 3: table.features()})
    description = f"A few-shot encoder: a {shape} image in, an embedding of {dim} values out. Compare by squared distance."
    return _attached(content, table.model("edge_meta encoder", description, licence, table.image(input_spec), output))


def with_labels(content: bytes, input_spec: ImageInput, labels: Sequence[str], licence: str) -> bytes:
    """A classifier's file with metadata, and its labels as the associated file labels.txt, a label a line."""
    table = _Writer()
    file = table.of({0: LABELS, 1: "a label a line, in the order of the scores"}, {2: TENSOR_AXIS_LABELS})
    facts = {0: "scores", 1: f"the probability of each of {len(labels)} labels", 3: table.features()}
    output = table.of({**facts, 5: table.of({0: table.floats([1.0]), 1: table.floats([0.0])}), 6: table.vector([file])})
    description = f"Tells {len(labels)} classes apart that were enrolled from a few examples; it never says unknown."
    model = _attached(content, table.model("edge_meta classifier", description, licence, table.image(input_spec), output))
    after = io.BytesIO(model)
    with zipfile.ZipFile(after, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), "".join(f"{label}\n" for label in labels))
    return after.getvalue()


def _attached(content: bytes, metadata: bytes) -> bytes:
    model = parse(content)
    add_metadata(model, ENTRY, metadata)
    return serialize(model)


def stated_normalization(metadata: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Read the mean and standard deviation that the first input's pixels are normalized with (NormalizationOptions).

    Args:
        metadata: the entry TFLITE_METADATA.

    Returns:
        Each one value or one a channel; None where nothing usable is stated.
    """
    try:
        root = Table(bytearray(metadata), flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0))
        for subgraph in _tables(root, 3):
            for tensor in list(_tables(subgraph, 2))[:1]:
                for unit in _tables(tensor, 4):
                    kind, options = _field(unit, 0), _field(unit, 1)
                    if kind and options and unit.Get(number_types.Uint8Flags, unit.Pos + kind) == NORMALIZATION:
                        found = Table(unit.Bytes, unit.Indirect(unit.Pos + options))
                        mean, std = _floats(found, 0), _floats(found, 1)
                        usable = mean.size and std.size and np.isfinite(mean).all() and np.isfinite(std).all() and std.all()
                        return (mean, std) if usable else None
    # Offsets of a damaged buffer lead anywhere.
    except Exception:
        return None
    return None


def stated_content(metadata: bytes) -> str | None:
    """Read what the first input holds (ContentProperties): `image`, `audio`, or None where it is not stated.

    Args:
        metadata: the entry TFLITE_METADATA.
    """
    try:
        root = Table(bytearray(metadata), flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0))
        for subgraph in _tables(root, 3):
            for tensor in list(_tables(subgraph, 2))[:1]:
                if place := _field(tensor, 3):
                    content = Table(tensor.Bytes, tensor.Indirect(tensor.Pos + place))
                    kind = _field(content, 0)
                    return CONTENTS.get(content.Get(number_types.Uint8Flags, content.Pos + kind)) if kind else None
    # Offsets of a damaged buffer lead anywhere.
    except Exception:
        return None
    return None


def _field(table: Table, number: int) -> int:
    """A field's offset in its table, 0 if it is not there."""
    return int(table.Offset(4 + 2 * number))


def _tables(table: Table, number: int) -> Iterator[Table]:
    field = _field(table, number)
    if field:
        start = table.Vector(field)
        for index in range(table.VectorLen(field)):
            yield Table(table.Bytes, table.Indirect(start + 4 * index))


def _floats(table: Table, number: int) -> NDArray[np.float32]:
    field = _field(table, number)
    if not field:
        return np.zeros(0, np.float32)
    return np.frombuffer(bytes(table.Bytes), "<f4", table.VectorLen(field), table.Vector(field)).astype(np.float32)


class _Writer:
    """Writes the schema's tables from their innermost outwards; fields go by their number in the schema."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def of(self, fields: dict[int, Any], codes: dict[int, int] | None = None) -> int:
        """A table of strings and of offsets that this object gave, and of one-byte codes."""
        builder = self._builder
        offsets = {slot: builder.CreateString(value) if isinstance(value, str) else value for slot, value in fields.items()}
        codes = codes or {}
        builder.StartObject(1 + max((*offsets, *codes), default=-1))
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, code in codes.items():
            builder.PrependUint8Slot(slot, code, 0)
        return int(builder.EndObject())

    def vector(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def image(self, input_spec: ImageInput) -> int:
        """TensorMetadata of the input."""
        builder = self._builder
        builder.StartObject(2)
        builder.PrependUint32Slot(0, input_spec.width, 0)
        builder.PrependUint32Slot(1, input_spec.height, 0)
        size = int(builder.EndObject())
        properties = self.of({1: size}, {0: RGB if input_spec.channels == 3 else GRAYSCALE})
        content = self.of({1: properties}, {0: IMAGE_PROPERTIES})
        normalization = self.of({0: self.floats([input_spec.mean]), 1: self.floats([1.0 / input_spec.scale])})
        step = self.of({1: normalization}, {0: NORMALIZATION})
        bounds = sorted((pixel - input_spec.mean) * input_spec.scale for pixel in (0, 255))
        stats = self.of({0: self.floats([bounds[1]]), 1: self.floats([bounds[0]])})
        return self.of({0: "image", 1: "normalized pixels", 3: content, 4: self.vector([step]), 5: stats})

    def features(self) -> int:
        """Content of an output."""
        return self.of({1: self.of({})}, {0: FEATURE_PROPERTIES})

    def model(self, name: str, description: str, licence: str, image: int, output: int) -> bytes:
        """ModelMetadata, as a finished flatbuffer."""
        graph = self.of({2: self.vector([image]), 3: self.vector([output])})
        root = self.of(
            {
                0: name, 1: description, 2: "1", 3: self.vector([graph]), 4: "edge_meta", 5: licence,
                7: "1.0.0",
            }
        )  # fmt: skip
        self._builder.Finish(root, b"M001")
        return bytes(self._builder.Output())
