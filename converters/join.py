"""One .tflite file of two: the quantized encoder from one conversion, the float32 heads from another.

The converter quantizes a whole file. In float16 the heads' constants would overflow, and int16x8 wants every signature
calibrated, so the two are converted apart and put together as flatbuffers.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.model_file import MIN_RUNTIME, version_of

# Kernels read constants in vectors; the schema asks for this, and flatbuffers' Python does not see to it.
ALIGNMENT = 16


def join(encoder: bytes, heads: bytes) -> bytes:
    """The subgraphs and signatures of both files, the encoder's first. Both have static shapes and no variables."""
    joined, added = read(encoder), read(heads)
    codes = {_key(code): index for index, code in enumerate(joined.operatorCodes)}
    for code in added.operatorCodes:
        if _key(code) not in codes:
            codes[_key(code)] = len(joined.operatorCodes)
            joined.operatorCodes.append(code)
    for subgraph in added.subgraphs:
        for operator in subgraph.operators:
            operator.opcodeIndex = codes[_key(added.operatorCodes[operator.opcodeIndex])]
        for tensor in subgraph.tensors:
            if tensor.buffer:  # the first buffer is everybody's empty one
                joined.buffers.append(added.buffers[tensor.buffer])
                tensor.buffer = len(joined.buffers) - 1
    for signature in added.signatureDefs:
        signature.subgraphIndex += len(joined.subgraphs)
    joined.subgraphs += added.subgraphs
    joined.signatureDefs += added.signatureDefs
    for entry in joined.metadata or []:
        if entry.name == MIN_RUNTIME:
            newest = max(version_of(joined), version_of(added))
            text = ".".join(map(str, newest)).encode().ljust(16, b"\0")
            joined.buffers[entry.buffer].data = np.frombuffer(text, np.uint8)
    return write(joined)


def read(content: bytes) -> Any:
    """The schema's object of a file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def write(model: Any) -> bytes:
    """The file of a schema's object."""
    for buffer in model.buffers:
        buffer.__class__ = _Buffer
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Buffer(schema.BufferT):
    """A buffer whose content is aligned as the schema says."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema's name
        data = b"" if self.data is None else bytes(bytearray(self.data))
        if data:
            builder.Prep(ALIGNMENT, len(data))
            vector = builder.CreateByteVector(data)
        schema.BufferStart(builder)
        if data:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


def _key(code: Any) -> tuple[Any, ...]:
    return code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version
