"""Read a .csv file whose first line names its columns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edge_meta.errors import DatasetError


def read_table(path: Path, required: Sequence[str], remedy: str) -> list[dict[str, str]]:
    """Read the lines by the names of their columns; at least one.

    Args:
        required: columns that each line fills.
        remedy: for a file that is not as it should be.

    Raises:
        DatasetError: no such file, it is no .csv file in UTF-8, or it has no line or no required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows, columns = list(reader), {*(reader.fieldnames or ())}
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist.", "Check the path.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a readable .csv file in UTF-8 ({error}).", remedy) from None
    if not {*required} <= columns or not rows:
        raise DatasetError(f"{path} has no columns {' and '.join(required)}, or no lines.", remedy)
    for number, row in enumerate(rows, start=1):
        if None in row or not all((row[name] or "").strip() for name in required):
            raise DatasetError(f"Entry {number} of {path} does not have a {' and a '.join(required)}.", remedy)
    return rows
