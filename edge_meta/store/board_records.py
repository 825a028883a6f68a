"""The records in a board's flash: the format of docs/board-flash.md, read and written.

A sector has its header twice, then records. Each part of a record has a CRC-32, by which one flipped bit is corrected.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge_meta.types import Array

FORMAT, MAGIC = 1, b"EMBR"
HEADER_BYTES, FIRST_RECORD, RECORD_HEADER = 64, 128, 12
SHOT, REMOVE, RENAME, COLUMN, HEAD, ORIGIN = range(1, 7)
KEEP_HEAD, SOME_COLUMNS = 1, 2  # flags of REMOVE and of HEAD
UNITS = (4, 8, 16, 32)
_HEADER = struct.Struct("<4sHHBBHifI16s16sI")


class Steps(NamedTuple):
    """The int8 values of an encoder's output: (q − zero_point) · scale."""

    scale: float
    zero_point: int

    def values(self, steps: bytes) -> Array:
        """Embeddings (D,) of stored bytes."""
        values: Array = (np.frombuffer(steps, np.int8).astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return values

    def stored(self, embedding: Array) -> bytes | None:
        """The bytes of an embedding (D,); None if it is not of such steps, to the bit."""
        steps = np.round(embedding / np.float32(self.scale)) + self.zero_point
        stored = np.clip(steps, -128, 127).astype(np.int8).tobytes()
        return stored if np.array_equal(self.values(stored), embedding) else None


@dataclass(frozen=True)
class SectorHeader:
    """The start of a sector.

    Attributes:
        steps: None if embeddings are float32.
        next_id: the id that the next class gets.
        generation: of two sectors, the one with the larger counts.
        encoder_id, origin: 16 bytes; the origin is that of shots enrolled on the board.
        unit: bytes that the flash programs at once; records begin at multiples of it.
    """

    dim: int
    steps: Steps | None
    next_id: int
    generation: int
    encoder_id: bytes
    origin: bytes
    sector_bytes: int
    unit: int = UNITS[0]

    def encoded(self) -> bytes:
        """The header, twice."""
        scale, zero_point = self.steps or (0.0, 0)
        content = _HEADER.pack(
            MAGIC, FORMAT, self.dim, int(self.steps is not None), self.unit, self.next_id, zero_point, scale,
            self.generation, self.encoder_id, self.origin, self.sector_bytes,
        )  # fmt: skip
        return 2 * (content + struct.pack("<I", zlib.crc32(content)))

    @classmethod
    def decoded(cls, content: bytes) -> SectorHeader | None:
        """The header of a sector, from the first of its two copies that is whole; None if it has none."""
        for copy in (content[:HEADER_BYTES], content[HEADER_BYTES:FIRST_RECORD]):
            sealed = corrected(copy[:-4], copy[-4:])
            if sealed is None or sealed[:4] != MAGIC:
                continue
            _, form, dim, kind, unit, next_id, zero, scale, generation, encoder_id, origin, size = _HEADER.unpack(sealed)
            if form == FORMAT and kind in (0, 1) and unit in UNITS and size % HEADER_BYTES == 0 and size > FIRST_RECORD:
                steps = Steps(scale, zero) if kind else None
                return cls(dim, steps, next_id, generation, encoder_id, origin, size, unit)
        return None


@dataclass(frozen=True)
class Record:
    """A record of the log.

    Attributes:
        kind: `SHOT` to `ORIGIN`.
        of: the class's id; of `HEAD`, the number of columns.
        ids: 16 bytes each.
        data: empty if there is none, or it was zeroed; None if it is beyond correction.
    """

    kind: int
    of: int = 0
    ids: tuple[bytes, ...] = ()
    data: bytes | None = b""
    origin: int = 0
    flags: int = 0

    def encoded(self) -> bytes:
        data = (self.data or b"") + bytes(-len(self.data or b"") % 4)
        head = struct.pack("<BBHHBB", self.kind, len(self.ids), self.of, len(data), self.origin, self.flags)
        return b"".join(_sealed(part) for part in (head, b"".join(self.ids), data) if part)


def records(content: bytes, unit: int) -> Iterator[tuple[int, Record | None]]:
    """The records of a sector, with their places in it; None for bytes that are no record, or one without its ids.

    The bytes after the last record that a power cut has left are skipped.
    """
    at, unusable = FIRST_RECORD, None
    while at + RECORD_HEADER <= len(content):
        head = corrected(content[at : at + 8], content[at + 8 : at + 12]) if content[at : at + 4].strip(b"\0") else None
        size, record = (0, None) if head is None else _decoded(content, at, head)
        if not size:
            if content[at : at + 4].strip(b"\0") and content[at : at + 4].strip(b"\xff"):
                unusable = at if unusable is None else unusable
            at += unit
            continue
        if unusable is not None:
            yield unusable, None
        unusable = None
        if record is None:
            unusable = at
        else:
            yield at, record
        at += -(-size // unit) * unit


def corrected(content: bytes, crc: bytes) -> bytes | None:
    """Bytes that have a CRC-32, with one flipped bit of either corrected; None if more are wrong, or all are blank."""
    if not (content + crc).strip(b"\xff"):
        return None  # four blank bytes fit their blank CRC
    wrong = zlib.crc32(content) ^ int.from_bytes(crc, "little")
    if not wrong & (wrong - 1):
        return content
    trace = 1
    for bit in range(8 * len(content)):
        trace = (trace >> 1) ^ (0xEDB88320 if trace & 1 else 0)
        if trace == wrong:
            at = len(content) - 1 - bit // 8
            return content[:at] + bytes([content[at] ^ (0x80 >> bit % 8)]) + content[at + 1 :]
    return None


def text(label: str) -> bytes:
    """A label as data has it: its length, and UTF-8."""
    encoded = label.encode()
    return bytes([len(encoded)]) + encoded


def split_text(data: bytes) -> tuple[str, bytes]:
    """The label that data begins with, and the rest.

    Raises:
        ValueError: it is not UTF-8.
    """
    return data[1 : 1 + data[0]].decode(), data[1 + data[0] :]


def _sealed(part: bytes) -> bytes:
    return part + struct.pack("<I", zlib.crc32(part))


def _decoded(content: bytes, at: int, head: bytes) -> tuple[int, Record | None]:
    """The bytes of the record at a place, and the record; 0 if that is none."""
    kind, count, of, length, origin, flags = struct.unpack("<BBHHBB", head)
    ids_at = at + RECORD_HEADER
    data_at = ids_at + (16 * count + 4 if count else 0)
    end = data_at + (length + 4 if length else 0)
    if not SHOT <= kind <= ORIGIN or length % 4 or end > len(content):
        return 0, None
    ids = corrected(content[ids_at : data_at - 4], content[data_at - 4 : data_at]) if count else b""
    data: bytes | None = b""
    if content[data_at:end].strip(b"\0"):
        data = corrected(content[data_at : end - 4], content[end - 4 : end])
    if ids is None:
        return end - at, None
    return end - at, Record(kind, of, tuple(ids[i : i + 16] for i in range(0, 16 * count, 16)), data, origin, flags)
