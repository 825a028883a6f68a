"""Fit series of sensor values, of any length and with any of an encoder's channels, to its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.array import ArrayInput, load_array
from edge_meta.inputs.senses import require_sense
from edge_meta.inputs.tables import read_table


@dataclass(frozen=True)
class SeriesInput(ArrayInput):
    """A series of sensor values (steps, channels), float32. Examples may have any length, and lack some of the channels.

    Attributes:
        channels: names of the columns.

    Raises:
        ValueError: the last axis has another number of channels, one is named twice, or the dtype is not float32.
    """

    suffixes: ClassVar[frozenset[str]] = ArrayInput.suffixes | {".csv"}

    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sizes[1:] != (len(set(self.channels)),) or len(self.channels) != self.sizes[1] or self.dtype != "float32":
            raise ValueError("the channels do not match the input's shape and dtype, or one is named twice")

    def read(self, example: Any) -> NDArray[np.float32]:
        """Read one series, the path of a .npy or a .csv file or an array (n, c), as the encoder takes it; see `fit_series`.

        A .csv file names its columns in its first line. The columns of others are the first of the channels.

        Raises:
            InputError: the file is unreadable, or the series cannot be fitted.
        """
        self.require_one(example)
        require_sense(example, self.suffixes, self.noun)
        is_table = isinstance(example, (str, Path)) and Path(example).suffix.lower() == ".csv"
        name, array = (str(example), self._columns(example)) if is_table else load_array(example)
        if array.ndim == 2 and array.dtype.kind in "fiu":
            array = fit_series(array, self.sizes[0], self.channels, name)
        return self.checked(name, array)

    def _columns(self, path: str | Path) -> NDArray[np.float64]:
        rows = list(read_table(path).rows(self.channels))
        return np.array(rows).reshape(len(rows), len(self.channels))

    def to_manifest(self) -> dict[str, Any]:
        return super().to_manifest() | {"channels": list(self.channels)}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> SeriesInput:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        array = ArrayInput.from_manifest(fields)
        return cls(array.sizes, array.dtype, tuple(map(str, fields["channels"])))


def fit_series(series: NDArray[Any], steps: int, channels: Sequence[str], name: str) -> NDArray[np.float32]:
    """Resample a series (n, c) to (steps, len(channels)), float32, on straight lines between its values.

    Columns are the first of the channels, and what is lacking is zero. Rows of zeros at the end are padding and left out.

    Args:
        name: of the series, for messages.

    Raises:
        InputError: it has fewer than two rows that are not padding, or more columns than channels, or a value is not finite.
    """
    if not 1 <= series.shape[1] <= len(channels):
        raise InputError(
            f"{name} has {series.shape[1]} columns; the encoder takes 1 to {len(channels)}: {', '.join(channels)}.",
            "Keep the columns that it takes, in that order.",
        )
    values = series.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite.", "Clean it before it is enrolled.")
    filled = np.flatnonzero(values.any(axis=1))
    if not len(filled) or filled[-1] < 1:
        raise InputError(f"{name} has fewer than two rows that are not zero.", "Check how it was recorded.")
    values = values[: filled[-1] + 1]
    at = np.linspace(0, len(values) - 1, steps)
    fitted = np.zeros((steps, len(channels)), np.float32)
    for column, recorded in enumerate(values.T):
        fitted[:, column] = np.interp(at, np.arange(len(values)), recorded)
    return fitted
