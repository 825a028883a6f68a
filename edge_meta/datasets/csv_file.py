"""A list of the user's own files with their labels, as a .csv file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_meta.datasets import archive
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.class_list import class_list
from edge_meta.datasets.table import read_table
from edge_meta.datasets.user_data import labelled
from edge_meta.inputs import InputSpec

REMEDY = "Let its first line be path,label or path,label,split, then a line for each file."


def load_csv(path: Path, split: str, input_spec: InputSpec, most_bytes: int = archive.MOST_BYTES) -> Dataset:
    """Load `csv:PATH`: a line for each file, with its path and its label.

    The first line names the columns: `path`, `label`, and perhaps `split`, as in an .npz file; others are left aside. Paths
    are relative to the folder of the .csv file. `classes.csv` beside it is read, see `class_list`.

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
    return labelled(f"csv:{path}", split, files, y, splits, class_list(path), input_spec, most_bytes)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the lines of the file by the names of their columns; at least one.

    Raises:
        DatasetError: no such file, or it is not as in `load_csv`.
    """
    return read_table(path, ("path", "label"), REMEDY)
