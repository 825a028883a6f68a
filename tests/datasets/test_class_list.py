"""Names and splits of classes, by a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import png

from edge_meta.datasets import SPLITS, load_dataset
from edge_meta.datasets.folder_check import check_folder
from edge_meta.datasets.survey import survey
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput

INPUT = ImageInput(8, 8)
KEYS = ("n01", "n02", "n03")
SPLIT = ("class,split", "n01,test", "n02,train", "n03,val")


def images(folder: Path, *lines: str) -> Path:
    """A folder of three classes, with a `classes.csv`; the n-th class has n images."""
    for count, key in enumerate(KEYS, start=1):
        for number in range(count):
            png(folder / key, f"{number}.png", np.full((8, 8), 10 * count, np.uint8))
    (folder / "classes.csv").write_text("\n".join([*lines, ""]), "utf-8")
    return folder


def as_folder(folder: Path) -> str:
    return f"folder:{folder}"


def as_csv(folder: Path) -> str:
    files = sorted(folder.rglob("*.png"))
    (folder / "list.csv").write_text("\n".join(["path,label", *(f"{file},{file.parent.name}" for file in files)]))
    return f"csv:{folder / 'list.csv'}"


def as_npz(folder: Path) -> str:
    np.savez(folder / "own.npz", x=np.zeros((6, 8, 8), np.uint8), y=np.repeat(KEYS, (1, 2, 3)))
    return f"npz:{folder / 'own.npz'}"


EACH_KIND = pytest.mark.parametrize("dataset", [as_folder, as_csv, as_npz])


@EACH_KIND
def test_classes_get_their_names_and_keep_their_order(tmp_path: Path, dataset) -> None:
    lines = ("class,about,name", 'n03,x,"pot, small"', "n02,y, Café ", "n77,z,not there")
    data = load_dataset(dataset(images(tmp_path, *lines)), "all", INPUT)
    assert data.class_names == ("n01", "Café", "pot, small")
    assert np.bincount(data.labels).tolist() == [1, 2, 3]


@EACH_KIND
def test_names_leave_the_splits_as_they_were(tmp_path: Path, dataset) -> None:
    named = dataset(images(tmp_path, "class,name", *(f"{key},thing {key}" for key in KEYS)))
    names = [load_dataset(named, split, INPUT).class_names for split in SPLITS]
    (tmp_path / "classes.csv").unlink()
    assert names == [tuple(f"thing {key}" for key in load_dataset(named, split, INPUT).class_names) for split in SPLITS]


@EACH_KIND
def test_classes_go_where_the_file_gives_them(tmp_path: Path, dataset) -> None:
    name = dataset(images(tmp_path, *SPLIT))
    assert [load_dataset(name, split, INPUT).class_names for split in (*SPLITS, "all")] == [
        ("n02",),
        ("n03",),
        ("n01",),
        KEYS,
    ]
    found = survey(name)
    assert found is not None
    assert found.training == {"n02": 2}


def test_a_check_counts_the_splits_of_the_file(tmp_path: Path) -> None:
    found = check_folder(images(tmp_path, "class,split", "n01,test", "n02,train", "n03,train"))
    assert found.splits == {"train": 2, "val": 0, "test": 1}
    assert found.unreadable == ()


@pytest.mark.parametrize(
    ("lines", "cause", "remedy"),
    [
        (("name,split", "a,train"), "no columns class", "first line"),
        (("class,label", "n01,a"), "neither a column name nor a column split", "first line"),
        (("class,name", "n01,"), "Entry 1 .* class and a name", "first line"),
        (("class,name", "n01,a", "n01,b"), "lists the class n01 twice", "Leave out one"),
        (("class,name", "n01,a", "n03,a"), "makes a the name of 2 classes", "a name of its own"),
        (("class,split", "n01,train", "n02,training", "n03,val"), "n02 the split training", "Use train, val, test"),
        (SPLIT[:2], "no split to 2 of 3 classes; the first is n02", "Give each class one of"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, lines: tuple[str, ...], cause: str, remedy: str) -> None:
    with pytest.raises(DatasetError, match=cause) as caught:
        load_dataset(as_folder(images(tmp_path, *lines)), "all", INPUT)
    assert remedy in caught.value.remedy


def test_two_sources_of_splits_are_refused(tmp_path: Path) -> None:
    images(tmp_path, *SPLIT)
    (tmp_path / "own.csv").write_text("path,label,split\nn01/0.png,n01,train\n")
    with pytest.raises(DatasetError, match=r"splits of its own, and .*classes\.csv has others"):
        load_dataset(f"csv:{tmp_path / 'own.csv'}", "train", INPUT)


def test_a_list_of_files_may_have_the_same_name(tmp_path: Path) -> None:
    images(tmp_path, "path,label", "n01/0.png,a")
    assert load_dataset(f"csv:{tmp_path / 'classes.csv'}", "all", INPUT).class_names == ("a",)
