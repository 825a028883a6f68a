"""Lists of files and labels, sound and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import png

from edge_meta.datasets import SPLITS, load_dataset
from edge_meta.errors import DatasetError, InputError
from edge_meta.inputs import ImageInput

INPUT = ImageInput(8, 8)


def written(folder: Path, *lines: str, encoding: str = "utf-8") -> str:
    """A list of files in a folder as a dataset; the folder gets images a.png to f.png, each of a grey of its own."""
    for grey, name in enumerate("abcdef"):
        png(folder / "images", f"{name}.png", np.full((8, 8), 10 * grey, np.uint8))
    (folder / "list.csv").write_text("\n".join([*lines, ""]), encoding)
    return f"csv:{folder / 'list.csv'}"


LINES = ("path,label", "images/b.png,mug", "images/a.png,cup", "images/c.png,mug", "images/d.png,Café", "images/e.png,jar")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_each_line_is_an_example_of_its_label(tmp_path: Path, encoding: str) -> None:
    data = load_dataset(written(tmp_path, *LINES, encoding=encoding), "all", INPUT)
    assert data.class_names == ("Café", "cup", "jar", "mug")
    assert data.labels.tolist() == [0, 1, 2, 3, 3]
    assert data.examples[:, 0, 0, 0].tolist() == [30, 0, 40, 10, 20]


def test_splits_share_no_class_and_lack_none(tmp_path: Path) -> None:
    name = written(tmp_path, *LINES)
    parts = [load_dataset(name, split, INPUT).class_names for split in SPLITS]
    assert sorted(sum(parts, ())) == ["Café", "cup", "jar", "mug"]


def test_a_column_gives_the_split_and_others_are_left_aside(tmp_path: Path) -> None:
    lines = ("label,who,split,path", "mug,x,train,images/a.png", "cup,y,val,images/b.png", "jar,,test,images/c.png")
    name = written(tmp_path, *lines)
    assert [load_dataset(name, split, INPUT).class_names for split in SPLITS] == [("mug",), ("cup",), ("jar",)]
    with pytest.raises(DatasetError, match="has a class in two splits"):
        load_dataset(written(tmp_path, *lines, "mug,z,val,images/d.png"), "val", INPUT)


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ((), "no columns path and label"),
        (("path,label",), "no lines"),
        (("path;label", "images/a.png;mug"), "no columns path and label"),
        (("path,label", "images/a.png,mug", "images/b.png"), "Entry 2 "),
        (("path,label", "images/a.png, "), "Entry 1 "),
        (("path,label", "images/a.png,mug,more"), "Entry 1 "),
        (("path,label", "x" * 200_000 + ",mug"), "field larger"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, lines: tuple[str, ...], cause: str) -> None:
    with pytest.raises(DatasetError, match=cause) as caught:
        load_dataset(written(tmp_path, *lines), "all", INPUT)
    assert "first line be path,label" in caught.value.remedy


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.csv does not exist"):
        load_dataset(f"csv:{tmp_path / 'none.csv'}", "all", INPUT)
    with pytest.raises(InputError, match=r"images.nosuch\.png does not exist"):
        load_dataset(written(tmp_path, "path,label", "images/nosuch.png,mug"), "all", INPUT)


def test_a_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="in UTF-8"):
        load_dataset(written(tmp_path, *LINES, encoding="latin-1"), "all", INPUT)
