"""Fit series of sensor values, of any length and with any of an encoder's channels, to its input."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError

MOST_BYTES = 1 << 26  # of a .csv file


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


def read_csv(path: Path, channels: Sequence[str]) -> NDArray[np.float64]:
    """Read the columns of a .csv file whose first line names them, (rows, len(channels)); other columns are left out.

    Raises:
        InputError: no column is one of the channels, a row is of another length, or a value is no number.
        OSError: it cannot be opened.
    """
    if not channels:
        raise InputError(f"{path} is a table, but this encoder does not name its channels.", "Save an array as .npy.")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file.read(MOST_BYTES).splitlines()))
    names = [each.strip() for each in rows[0]] if rows else []
    known = [channel for channel in channels if channel in names]
    if not known:
        raise InputError(
            f"No column of {path} is one of the encoder's channels: {', '.join(channels)}.", "Name them in its first line."
        )
    table = np.zeros((len(rows) - 1, len(channels)))
    try:
        for channel in known:
            column = names.index(channel)
            table[:, channels.index(channel)] = [float(row[column]) for row in rows[1:]]
    except (IndexError, ValueError):
        raise InputError(f"A row of {path} has no number in column {channel!r}.", "Check the table.") from None
    return table
