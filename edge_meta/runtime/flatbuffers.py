"""Read tables of a FlatBuffers file in plain Python, and nothing outside of the file.

The layout is that of https://flatbuffers.dev/internals. A file that points outside of itself raises ValueError, or
struct.error past its end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

LINE = 100  # bytes of text that count as one part

T = TypeVar("T")


class File:
    """A file's numbers by their position, with a count of what has been read.

    Attributes:
        data: the file.
        most_parts: fields, numbers and lines of text that may be read. A file can name the same table again and again, and
            so ask for much more work than its size.
    """

    def __init__(self, data: bytes, most_parts: int) -> None:
        self.data, self.most_parts, self.parts = data, most_parts, 0

    def number(self, kind: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset points before its start")
        value: int = struct.unpack_from("<" + kind, self.data, at)[0]  # struct.error past the end
        return value

    def count(self, parts: int) -> None:
        self.parts += parts
        if self.parts > self.most_parts:
            raise ValueError("its graph has too many parts")

    def follow(self, at: int) -> int:
        """The position that the offset at `at` points to; everything pointed to starts with 4 aligned bytes."""
        target = at + self.number("I", at)
        if target % 4 or target + 4 > len(self.data):
            raise ValueError(f"an offset points to {target} of {len(self.data)} bytes")
        return target

    def root(self) -> Table:
        return Table(self, self.follow(0))


class Table:
    """A table of fields, which may be absent; its vtable has their positions."""

    def __init__(self, file: File, at: int) -> None:
        self.file, self.at = file, at
        vtable = at - file.number("i", at)
        size, self.size = file.number("H", vtable), file.number("H", vtable + 2)
        if size < 4 or size % 2 or vtable + size > len(file.data) or self.size < 4 or at + self.size > len(file.data):
            raise ValueError(f"the table at {at} reaches out of the file")
        file.count(4 + size // 2)
        self.fields = struct.unpack_from(f"<{size // 2 - 2}H", file.data, vtable + 4)

    def number(self, field: int, kind: str = "i", default: int = 0) -> int:
        at = self._find(field, struct.calcsize("<" + kind))
        return default if at is None else self.file.number(kind, at)

    def table(self, field: int) -> Table | None:
        at = self._find(field, 4)
        return None if at is None else Table(self.file, self.file.follow(at))

    def tables(self, field: int, read: Callable[[Table], T]) -> list[T]:
        start, length = self.vector(field, 4)
        self.file.count(length)
        return [read(Table(self.file, self.file.follow(start + 4 * index))) for index in range(length)]

    def numbers(self, field: int, kind: str = "i") -> tuple[Any, ...]:
        start, length = self.vector(field, struct.calcsize("<" + kind))
        self.file.count(length)
        return struct.unpack_from(f"<{length}{kind}", self.file.data, start)

    def check_bytes(self, field: int) -> int:
        """Check that a vector of bytes lies inside the file; return their number."""
        return self.vector(field, 1)[1]

    def check_text(self, field: int) -> None:
        start, length = self.vector(field, 1)
        self.file.count(length // LINE)
        self.file.data[start : start + length].decode()  # UnicodeDecodeError, a ValueError

    def vector(self, field: int, width: int) -> tuple[int, int]:
        """The position in the file of a vector's first element, and the number of elements: none if the field is absent."""
        at = self._find(field, 4)
        if at is None:
            return 0, 0
        start = self.file.follow(at)
        length = self.file.number("I", start)
        if start + 4 + length * width > len(self.file.data):
            raise ValueError(f"a vector of {length} at {start} reaches out of the file")
        return start + 4, length

    def _find(self, field: int, width: int) -> int | None:
        offset = self.fields[field] if field < len(self.fields) else 0
        if offset and not 4 <= offset <= self.size - width:
            raise ValueError(f"a field of the table at {self.at} lies outside of it")
        return self.at + offset if offset else None
