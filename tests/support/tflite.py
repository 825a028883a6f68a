"""For tests of the device's side: small .tflite files, made without TensorFlow."""

from __future__ import annotations

import struct
from typing import Any

FLOOR, CUSTOM, LOG, ADD_N = 8, 32, 73, 106  # in BuiltinOperator


def flatbuffer(root: Any) -> bytes:
    """A .tflite file from tables (dicts from field number to value), vectors (lists), texts, and numbers of 32 bits."""
    out = bytearray(b"\0\0\0\0TFL3")

    def place(thing: Any, slot: int) -> None:
        """Append what the offset in the slot is to point to."""
        if isinstance(thing, dict):
            vtable, count = len(out), max(thing, default=-1) + 1
            out.extend(struct.pack("<HH", 4 + 2 * count, 4 + 4 * count))
            out.extend(struct.pack(f"<{count}H", *(4 + 4 * field if field in thing else 0 for field in range(count))))
            out.extend(bytes(-len(out) % 4))
            at = len(out)
            out.extend(struct.pack("<i", at - vtable))
            values = [thing.get(field, 0) for field in range(count)]
        elif isinstance(thing, str):
            at = len(out)
            out.extend(struct.pack("<I", len(thing)) + thing.encode() + bytes(4 - len(thing) % 4))
            values = []
        else:
            at, values = len(out), thing
            out.extend(struct.pack("<I", len(thing)))
        struct.pack_into("<I", out, slot, at - slot)
        first = len(out)
        out.extend(bytes(4 * len(values)))
        for index, value in enumerate(values):
            if isinstance(value, int):
                struct.pack_into("<i", out, first + 4 * index, value)
            else:
                place(value, first + 4 * index)

    place(root, 0)
    return bytes(out)


def one_operator(code: int, name: str = "", inputs: int = 1, shape: tuple[int, ...] = (1, 4)) -> bytes:
    """A model of one operator, from as many float32 inputs to one output, all of one shape."""
    tensors = [{0: list(shape), 3: f"tensor {index}"} for index in range(inputs + 1)]
    given, taken = list(range(inputs)), [inputs]
    graph = {0: tensors, 1: given, 2: taken, 3: [{0: 0, 1: given, 2: taken}]}
    return flatbuffer({0: 3, 1: [{0: code, 1: name, 2: 1, 3: code}], 2: [graph], 4: [{}]})
