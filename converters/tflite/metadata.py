"""TFLite metadata: what a model's input and output mean, for programs that read it, such as MediaPipe.

A flatbuffer of its own (file identifier M001, TensorFlow's metadata_schema.fbs 1.5) lies in the model's buffer that the
entry TFLITE_METADATA names; files that it speaks of, such as labels, are a zip after the model's end.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from converters.model_card import LICENCES
from converters.tflite.edit import add_buffer, packed, unpacked
from edge_meta import __version__
from edge_meta.inputs import ImageInput

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"

# Members of the schema's unions and enums.
IMAGE_PROPERTIES, FEATURE_PROPERTIES = 2, 1
RGB, GRAYSCALE = 1, 2
NORMALIZATION = 1
TENSOR_AXIS_LABELS = 2


def licence_of(training: Mapping[str, Any]) -> str:
    """The licence of the data that an encoder was trained on, from the manifest's field."""
    return LICENCES.get(str(training.get("dataset")), "not stated")


def with_metadata(content: bytes, input_spec: ImageInput, dim: int, licence: str) -> bytes:
    """An encoder's file with metadata, in place of any that it had. The encoder id stays.

    Args:
        input_spec: gives the size, the colours, and the normalization (pixel − mean) / std.
        dim: of the embedding.
        licence: of the data that the encoder was trained on.
    """
    table = _Table()
    shape = "×".join(str(side) for side in input_spec.shape)
    output = table.of({0: "embedding", 1: f"{dim} values; images of one class lie near each other", 3: table.features()})
    description = f"A few-shot encoder: a {shape} image in, an embedding of {dim} values out. Compare by squared distance."
    return _attached(content, table.model("edge_meta encoder", description, licence, table.image(input_spec), output))


def with_labels(content: bytes, input_spec: ImageInput, labels: Sequence[str], licence: str) -> bytes:
    """A classifier's file with metadata, and its labels as the associated file labels.txt, a label a line."""
    table = _Table()
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
    model = unpacked(content)
    model.metadata = [entry for entry in model.metadata or [] if entry.name != ENTRY.encode()]
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, add_buffer(model, metadata)
    model.metadata.append(entry)
    return packed(model)


class _Table:
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
                0: name, 1: description, 2: "1", 3: self.vector([graph]), 4: f"edge_meta {__version__}", 5: licence,
                7: "1.0.0",
            }
        )  # fmt: skip
        self._builder.Finish(root, b"M001")
        return bytes(self._builder.Output())
