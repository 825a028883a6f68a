"""A list of the user's own classes, `classes.csv`: their names, and which are for train, val and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_meta.choices import SPLITS
from edge_meta.datasets.base import split_of_classes
from edge_meta.datasets.table import read_table
from edge_meta.errors import DatasetError
from edge_meta.store.labels import usual_form

REMEDY = "Let its first line be class,name or class,split or class,name,split, then a line for each class."


@dataclass(frozen=True)
class ClassList:
    """Names and splits of classes.

    Attributes:
        path: of the file.
        names: class, as the data has it, → its name.
        splits: class → its split; None to deal classes to the splits.
    """

    path: Path
    names: Mapping[str, str]
    splits: Mapping[str, str] | None

    def named(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The names of classes; one that is not listed keeps its own.

        Raises:
            DatasetError: two have the same name.
        """
        names = tuple(self.names.get(usual_form(each), each) for each in classes)
        for name, count in Counter(names).items():
            if count > 1:
                raise DatasetError(
                    f"{self.path} makes {name} the name of {count} classes.", "Give each class a name of its own."
                )
        return names

    def chosen(self, classes: Sequence[str], split: str) -> list[int]:
        """The indices of a split's classes.

        Raises:
            DatasetError: splits are listed, but not that of each class.
        """
        if self.splits is None:
            return split_of_classes(classes, split)
        splits = [self.splits.get(usual_form(each)) for each in classes]
        if None in splits:
            raise DatasetError(
                f"{self.path} gives no split to {splits.count(None)} of {len(classes)} classes; "
                f"the first is {classes[splits.index(None)]}.",
                f"Give each class one of {', '.join(SPLITS)}, or leave out the column split.",
            )
        return [index for index, each in enumerate(splits) if split in ("all", each)]


def class_list(data: Path) -> ClassList:
    """Read the `classes.csv` in a dataset's folder, or beside its file; where there is none, nothing is listed.

    The first line names the columns: `class`, a folder's name or a label of the data; and `name`, or `split`, or both.
    Others are left aside, and so are lines of classes that the data does not have.

    Raises:
        DatasetError: it is not as above, or lists a class twice.
    """
    path = (data if data.is_dir() else data.parent) / "classes.csv"
    if path == data or not path.exists():
        return ClassList(path, {}, None)
    told = [column for column in ("name", "split") if column in read_table(path, ["class"], REMEDY)[0]]
    if not told:
        raise DatasetError(f"{path} has neither a column name nor a column split.", REMEDY)
    rows = read_table(path, ["class", *told], REMEDY)
    classes = [usual_form(row["class"]) for row in rows]
    twice = next((each for each, count in Counter(classes).items() if count > 1), None)
    if twice is not None:
        raise DatasetError(f"{path} lists the class {twice} twice.", "Leave out one of the lines.")
    parts = {column: dict(zip(classes, (usual_form(row[column]) for row in rows), strict=True)) for column in told}
    for each, split in parts.get("split", {}).items():
        if split not in SPLITS:
            raise DatasetError(f"{path} gives the class {each} the split {split}.", f"Use {', '.join(SPLITS)}.")
    return ClassList(path, parts.get("name", {}), parts.get("split"))
