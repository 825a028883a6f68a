"""Folders of examples: which files count, in which order, and which folders are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_meta.errors import InputError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, InputSpec
from edge_meta.inputs.folders import did_you_mean, list_folder, list_labels, list_tree

SUFFIXES = frozenset({".png", ".jpg"})


def filled(folder: Path, *names: str) -> Path:
    """A folder with empty files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(folder: Path, paths: tuple[Path, ...]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_files_are_told_apart_by_suffix_in_name_order(tmp_path: Path) -> None:
    listing = list_folder(filled(tmp_path, "b.PNG", "a.jpg", "clip.mov", "phone.heic", "bare", "sub/c.png"), SUFFIXES)
    assert names(tmp_path, listing.examples) == ["a.jpg", "b.PNG"]
    assert names(tmp_path, listing.others) == ["bare", "clip.mov", "phone.heic"]
    assert names(tmp_path, listing.folders) == ["sub"]


@pytest.mark.parametrize(
    "junk",
    [
        ".DS_Store", "._a.png", ".hidden.png", "Thumbs.db", "desktop.ini", "__MACOSX/a.png", ".thumbnails/a.png",
        "a.png.json", "notes.txt", "a.XMP", "a.aae", "README.md",
    ],
)  # fmt: skip
def test_what_others_leave_in_folders_is_skipped(tmp_path: Path, junk: str) -> None:
    listing = list_tree(filled(tmp_path, "a.png", junk), SUFFIXES)
    assert names(tmp_path, listing.examples) == ["a.png"]
    assert listing.others == listing.folders == ()


def test_a_sidecar_suffix_that_is_asked_for_counts(tmp_path: Path) -> None:
    assert len(list_folder(filled(tmp_path, "a.json"), {".json"}).examples) == 1


@pytest.mark.parametrize(
    ("input_spec", "name"), [(ArrayInput((3,)), "a.npy"), (AudioInput(800), "b.WAV"), (ImageInput(), "c.jpeg")]
)
def test_each_kind_of_input_finds_its_own_files(tmp_path: Path, input_spec: InputSpec, name: str) -> None:
    listing = list_folder(filled(tmp_path, "a.npy", "b.WAV", "c.jpeg"), input_spec.suffixes)
    assert names(tmp_path, listing.examples) == [name]
    assert len(listing.others) == 2


def test_a_tree_is_listed_in_path_order(tmp_path: Path) -> None:
    listing = list_tree(filled(tmp_path, "z.png", "b/2/x.png", "b/1.png", "a/y.png"), SUFFIXES)
    assert names(tmp_path, listing.examples) == ["a/y.png", "b/1.png", "b/2/x.png", "z.png"]
    assert names(tmp_path, listing.folders) == ["a", "b", "b/2"]


def test_a_link_back_to_the_folder_is_not_followed_again(tmp_path: Path) -> None:
    filled(tmp_path, "sub/a.png")
    (tmp_path / "sub" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert names(tmp_path, list_tree(tmp_path, SUFFIXES).examples) == ["sub/a.png"]


def test_each_subfolder_is_a_label(tmp_path: Path) -> None:
    labels = list_labels(filled(tmp_path, "mug/2.png", "mug/1.png", "cup/1.png", "notes.txt"), SUFFIXES, "image")
    assert {label: names(tmp_path / label, listing.examples) for label, listing in labels.items()} == {
        "cup": ["1.png"],
        "mug": ["1.png", "2.png"],
    }


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ((), "holds no subfolders"),
        (("a.png",), "holds images and no subfolders"),
        (("a.png", "mug/b.png"), "holds images beside its subfolders"),
        (("mug/a.png", "2024/cup/b.png"), "2024 holds subfolders"),
        (("mug/a.png", "cup/notes.txt"), "cup holds no images"),
    ],
)
def test_a_folder_whose_labels_are_not_clear_is_refused(tmp_path: Path, files: tuple[str, ...], cause: str) -> None:
    filled(tmp_path / "photos", *files).mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        list_labels(tmp_path / "photos", SUFFIXES, "image")
    assert cause in caught.value.cause
    assert str(tmp_path / "photos") in caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize("above", ["2024/mug/a.png", "2024/notes.txt"])
def test_a_folder_one_level_too_high_gets_the_one_below(tmp_path: Path, above: str) -> None:
    filled(tmp_path, "2024/mug/b.png", "2024/cup/c.png", above)
    with pytest.raises(InputError, match=rf"Did you mean {tmp_path / '2024'}\? Give"):
        list_labels(tmp_path, SUFFIXES, "image")


@pytest.mark.parametrize("files", [("mug/a.png",), ("mug/a.png", "mug/old/b.png"), ("a/b/c/d.png",), ()])
def test_no_other_folder_is_proposed_where_none_is_better(tmp_path: Path, files: tuple[str, ...]) -> None:
    assert did_you_mean(filled(tmp_path, *files), SUFFIXES) == ""


def test_a_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nosuch cannot be listed"):
        list_folder(tmp_path / "nosuch", SUFFIXES)
