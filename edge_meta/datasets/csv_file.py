"""A list of the user's own files with their labels, as a .csv file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from edge_meta.datasets import archive
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.user_data import labelled
from edge_meta.errors import DatasetError
from edge_meta.inputs import InputSpec

REMEDY = "Let its first line be path,label or path,label,split, then a line for each file."


def load_csv(path: Path, split: str, input_spec: InputSpec, most_bytes: int = archive.MOST_BYTES) -> Dataset:
    """Load `csv:PATH`: a line for each file, with its path and its label.

    The first line names the columns: `path`, `label`, and perhaps `split`, as in an .npz file; others are left aside. Paths
    are relative to the folder of the .csv file.

    Args:
        most_bytes: as for `load_folder`.

    Raises:
        DatasetError: no such file, it is not as above, or has examples of more than `most_bytes`.
        InputError: a file that it names cannot be read.
    """
    rows = read_rows(path)
    files = [path.parent / row["path"] for row in rows]
    y = np.array([row["label"].strip() for row in rows])
    splits = np.array([row["split"] or "" for row in rows]) if "split" in rows[0] else None
    return labelled(f"csv:{path}", split, files, y, splits, input_spec, most_bytes)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the lines of the file by the names of their columns; at least one.

    Raises:
        DatasetError: no such file, or it is not as in `load_csv`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows, columns = list(reader), {*(reader.fieldnames or ())}
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist.", "Check the path.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a readable .csv file in UTF-8 ({error}).", REMEDY) from None
    if not {"path", "label"} <= columns or not rows:
        raise DatasetError(f"{path} has no columns path and label, or no lines.", REMEDY)
    for number, row in enumerate(rows, start=1):
        if None in row or not all((row[name] or "").strip() for name in ("path", "label")):
            raise DatasetError(f"Entry {number} of {path} does not have a path and a label.", REMEDY)
    return rows
