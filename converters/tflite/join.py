"""One .tflite file of two: the quantized encoder from one conversion, the float32 heads from another.

The converter quantizes a whole file. In float16 the heads' constants would overflow, and int16x8 wants every signature
calibrated, so the two are converted apart and put together as flatbuffers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.tflite.edit import packed, unpacked
from converters.tflite.model import MIN_RUNTIME, version_of


def join(encoder: bytes, heads: bytes) -> bytes:
    """The subgraphs and signatures of both files, the encoder's first. Both have static shapes and no variables."""
    joined, added = unpacked(encoder), unpacked(heads)
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
    return packed(joined)


def _key(code: Any) -> tuple[Any, ...]:
    return code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version
