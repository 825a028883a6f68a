"""How a .tflite file wants its pixels, as its TFLite metadata says it (NormalizationOptions of metadata_schema.fbs)."""

from __future__ import annotations

from collections.abc import Iterator

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table
from numpy.typing import NDArray

NORMALIZATION = 1  # its number in the schema's union of process units


def stated_normalization(metadata: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Mean and standard deviation, one value or one a channel, of the first input; None where nothing usable is said.

    Args:
        metadata: the buffer TFLITE_METADATA.
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
