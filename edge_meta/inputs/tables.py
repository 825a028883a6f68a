"""Read .csv tables of sensor values, whole or row by row as they come: the first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError

MOST_BYTES = 1 << 26  # of a .csv file
# Names of a column of times in seconds, in lower case: this package's own, Sensor Logger's, phyphox's.
SECONDS = ("seconds", "seconds_elapsed", "time (s)", "t", "time")

Row = NDArray[np.float64]


class Table:
    """The rows of a table that are still to come. Blank lines are left out.

    Args:
        lines: of text, the names of the columns first.
        name: of the table, for messages.

    Attributes:
        names: of the columns.

    Raises:
        InputError: the first line is not readable.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._lines, self._name = csv.reader(lines), name
        try:
            self.names = tuple(each.strip() for each in next(self._lines, []))
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(name, error) from None

    def rows(self, channels: Sequence[str]) -> Iterator[Row]:
        """The values of an encoder's channels, (channels,); zero for those that the table lacks.

        Raises:
            InputError: no column is one of the channels, a row has no number in one of them, or is not readable.
        """
        return self._numbers(self._places(channels))

    def timed_rows(self, channels: Sequence[str]) -> Iterator[tuple[float, Row]]:
        """The rows with their times in seconds.

        Raises:
            InputError: see `rows`, or no column holds seconds.
        """
        lower = [name.lower() for name in self.names]
        column = next((lower.index(name) for name in SECONDS if name in lower), None)
        if column is None:
            raise InputError(f"{self._name} has no column of times.", 'Give it a column "seconds".')
        return ((float(row[-1]), row[:-1]) for row in self._numbers([*self._places(channels), column]))

    def _places(self, channels: Sequence[str]) -> list[int | None]:
        """The column of each channel, None for those that the table lacks."""
        if not set(self.names) & set(channels):
            raise InputError(
                f"No column of {self._name} is one of the encoder's channels: {', '.join(channels)}.",
                "Name them in its first line.",
            )
        return [self.names.index(channel) if channel in self.names else None for channel in channels]

    def _numbers(self, columns: Sequence[int | None]) -> Iterator[Row]:
        try:
            for row in self._lines:
                if row:
                    yield np.array([0.0 if column is None else self._number(row, column) for column in columns])
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(self._name, error) from None

    def _number(self, row: Sequence[str], column: int) -> float:
        try:
            return float(row[column])
        except (IndexError, ValueError):
            raise InputError(
                f"A row of {self._name} has no number in column {self.names[column]!r}.", "Check the table."
            ) from None


def read_table(path: str | Path) -> Table:
    """Read a .csv file.

    Raises:
        InputError: it cannot be read, has more than 64 MiB, or is no text in UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES:,} bytes.", "Cut it to the part that matters.")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _unreadable(str(path), error) from None
    return Table(lines, str(path))


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(f"{name} is not a readable table ({error}).", "Save it as .csv in UTF-8.")
