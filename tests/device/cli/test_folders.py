"""Folders on the command line: a label per subfolder, all files of a folder, and what in them cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import altered, cli, complaint, draw, png, said

KINDS = {"alef": 0, "bet": 1}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three drawings of each of two labels, and junk beside them."""
    folder = tmp_path / "photos"
    for label, kind in KINDS.items():
        for take in range(3):
            png(folder, f"{label}/{take}.png", draw(kind, take))
        (folder / label / ".DS_Store").write_bytes(b"junk")
        (folder / label / "0.json").write_text("{}")
    (folder / "Thumbs.db").write_bytes(b"junk")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> list[object]:
    return ["--store", tmp_path / "store.db"]


def broken(path: Path) -> Path:
    path.write_text("not an image")
    return path


def classes(store: list[object]) -> dict[str, int]:
    """The shots of each label in a store."""
    listed = said(cli("inspect", "omniglot", *store, "--json"))["classes"]
    return {entry["label"]: entry["shots"] for entry in listed}


def result_of(*arguments: object) -> tuple[dict[str, Any], str]:
    """The JSON that a command prints, and its notes."""
    done = cli(*arguments, "--json")
    return json.loads(done.stdout), done.stderr


# Enroll


def test_a_folder_enrolls_a_label_per_subfolder(photos: Path, store: list[object]) -> None:
    assert said(cli("enroll", "omniglot", photos, *store, "--json")) == {
        "labels": [{"label": label, "added": 3, "shots": 3} for label in KINDS],
        "added": 6,
        "classes": 2,
        "unreadable": [],
        "warnings": [],
    }
    assert classes(store) == {"alef": 3, "bet": 3}
    text = cli("enroll", "omniglot", f"{photos}/", *store).stdout
    assert text == "alef: 3 added, 6 shots; 2 classes\nbet: 3 added, 6 shots; 2 classes\n"


def test_undo_takes_back_a_whole_folder(photos: Path, store: list[object]) -> None:
    cli("enroll", "omniglot", "gimel", png(photos.parent, "g.png", draw(2)), *store)
    cli("enroll", "omniglot", photos, *store)
    assert said(cli("undo", "omniglot", *store, "--json")) == {
        "action": "enroll",
        "label": None,
        "shots": 6,
        "scrub_pending": False,
        "classes": 1,
    }
    cli("enroll", "omniglot", photos, *store)
    assert cli("undo", "omniglot", *store).stdout == "Undone: enroll (6 shots of several labels); 1 classes\n"


def test_a_folder_after_a_label_is_of_that_label(photos: Path, store: list[object]) -> None:
    png(photos, "alef/more/deep.png", draw(0, 3))
    extra = png(photos.parent, "extra.png", draw(0, 4))
    done = said(cli("enroll", "omniglot", "alef", photos / "alef", extra, *store, "--json"))
    assert done == {"label": "alef", "added": 5, "shots": 5, "classes": 1, "unreadable": [], "warnings": []}


def test_unreadable_files_of_a_folder_are_left_out_and_listed(photos: Path, store: list[object]) -> None:
    bad = broken(photos / "alef" / "bad.png")
    heic = photos / "bet" / "phone.heic"
    heic.write_bytes(b"heic")
    done, notes = result_of("enroll", "omniglot", photos, *store)
    assert (done["added"], classes(store)) == (6, {"alef": 3, "bet": 3})
    assert {entry["path"] for entry in done["unreadable"]} == {str(bad), str(heic)}
    assert all(entry["path"] in entry["cause"] for entry in done["unreadable"])
    assert "2 files are left out" in notes
    assert all(entry["cause"] in notes for entry in done["unreadable"])
    text = cli("enroll", "omniglot", "alef", photos / "alef", *store)
    assert text.stdout == "alef: 3 added, 6 shots; 2 classes\n"
    assert f"{bad} is not a readable image" in text.stderr


def test_a_label_of_which_nothing_can_be_read_is_not_enrolled(photos: Path, store: list[object]) -> None:
    (photos / "gimel").mkdir()
    broken(photos / "gimel" / "0.png")
    done, notes = result_of("enroll", "omniglot", photos, *store)
    assert [entry["label"] for entry in done["labels"]] == ["alef", "bet"]
    assert "gimel is not enrolled" in notes


def test_an_unreadable_file_that_is_named_stops_the_command(photos: Path, store: list[object]) -> None:
    bad = broken(photos.parent / "bad.png")
    cli("enroll", "omniglot", "gimel", png(photos.parent, "g.png", draw(2)), *store)
    for verb in (["enroll", "omniglot", "alef"], ["classify", "omniglot"]):
        assert str(bad) in complaint(cli(*verb, photos / "alef", bad, *store, code=1))
    assert classes(store) == {"gimel": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photos/alef"], ["photos/alef holds images and no subfolders", "Give a label"]),
        (["empty"], ["empty holds no subfolders", ".png"]),
        (["alef", "empty"], ["empty holds no images", ".png"]),
        (["mixed"], ["mixed holds images beside its subfolders", "Give a label"]),
        (["alef", "bad"], ["0.png is not a readable image", "None of 2 files", "PNG"]),
        (["bad"], ["bad holds images and no subfolders"]),
        (["photos", "mixed"], ["photos is a folder where a LABEL is expected"]),
        (["nested"], ["deep holds subfolders"]),
    ],
)
def test_an_unclear_folder_is_an_error_and_changes_nothing(
    photos: Path, store: list[object], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(photos.parent)
    for folder in ("empty", "bad"):
        Path(folder).mkdir()
    broken(Path("bad/0.png"))
    broken(Path("bad/1.png"))
    png(Path("mixed"), "a.png", draw(0))
    png(Path("mixed"), "alef/a.png", draw(0))
    png(Path("nested"), "deep/alef/a.png", draw(0))
    message = complaint(cli("enroll", "omniglot", *arguments, *store, code=1))
    assert [word for word in words if word not in message] == []
    assert not Path("store.db").exists()


def test_a_label_may_be_the_name_of_its_folder(photos: Path, store: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    cli("enroll", "omniglot", "alef", "alef", *store)
    assert classes(store) == {"alef": 3}


def test_a_lone_argument_that_is_no_folder_is_wrong_usage(store: list[object]) -> None:
    assert "'nosuch' is no folder" in cli("enroll", "omniglot", "nosuch", *store, code=2).stderr


# Classify


def test_classify_takes_the_files_of_a_folder_in_order(photos: Path, store: list[object]) -> None:
    cli("enroll", "omniglot", photos, *store)
    single = photos / "bet" / "1.png"
    results = said(cli("classify", "omniglot", single, photos, *store, "--json"))["results"]
    files = [str(photos / label / f"{take}.png") for label in KINDS for take in range(3)]
    assert [result["file"] for result in results] == [str(single), *files]
    assert [result["label"] for result in results] == ["bet", *["alef"] * 3, *["bet"] * 3]


def test_classify_lists_what_it_cannot_read_at_the_end(photos: Path, store: list[object]) -> None:
    cli("enroll", "omniglot", photos, *store)
    bad = broken(photos / "alef" / "1.png")
    done, notes = result_of("classify", "omniglot", photos, *store)
    assert len(done["results"]) == 5
    assert [entry["path"] for entry in done["unreadable"]] == [str(bad)]
    assert str(bad) in notes


def test_colour_photos_for_a_grey_bundle_are_noted_once(photos: Path, store: list[object]) -> None:
    for take in range(2):
        png(photos, f"bet/colour{take}.png", np.full((28, 28, 3), (200, 150, 60 + take), np.uint8))
    done = cli("enroll", "omniglot", photos, *store)
    assert done.stderr.count("is a colour photo") == 1
    assert "colour0.png is a colour photo, but this bundle reads grey drawings" in done.stderr
    done = cli("classify", "omniglot", photos / "bet" / "colour1.png", *store, "--json")
    assert done.stderr.count("colour1.png is a colour photo") == 1
    assert json.loads(done.stdout)["results"]
    assert cli("classify", "omniglot", photos / "alef", *store).stderr == ""


# None


def test_a_folder_of_none_is_shown_told_and_forgotten(photos: Path, tmp_path: Path, store: list[object]) -> None:
    cli("enroll", "omniglot", photos, *store)
    for take in range(3):
        png(tmp_path, f"others/deep/{take}.png", draw(9, take))
    stranger = png(tmp_path, "stranger.png", draw(9, 5))
    asked = ["classify", "omniglot", stranger, "--false-accept", 0.5, *store, "--json"]
    assert said(cli(*asked))["results"][0]["known"]
    done, _ = result_of("enroll", "omniglot", "--none", tmp_path / "others", *store)
    assert (done["label"], done["added"], done["shots"], done["classes"]) == ("", 3, 3, 2)
    assert not said(cli(*asked))["results"][0]["known"]
    told = said(cli("inspect", "omniglot", "--shots", *store, "--json"))
    assert [entry["label"] for entry in told["classes"]] == ["alef", "bet"]
    assert (told["none_shots"], len(told["none_ids"]), told["can_promise"]) == (3, 3, True)
    assert told["expected"]["none_accepted"] == 0.0
    one = cli("forget", "omniglot", "--none", "--shot", told["none_ids"][0]["id"], *store)
    assert one.stdout == "none: 1 shots removed; 2 classes\n"
    assert said(cli("forget", "omniglot", "--none", *store, "--json"))["removed"] == 2
    assert said(cli(*asked))["results"][0]["known"]


def test_undo_says_that_examples_of_none_went(photos: Path, store: list[object]) -> None:
    assert cli("enroll", "omniglot", "--none", photos / "alef", *store).stdout == "none: 3 added, 3 shots; 0 classes\n"
    assert cli("undo", "omniglot", *store).stdout == "Undone: enroll (3 shots of none); 0 classes\n"


def test_a_shot_that_is_of_none_as_well_is_noted(photos: Path, store: list[object]) -> None:
    cli("enroll", "omniglot", photos, *store)
    done, notes = result_of("enroll", "omniglot", "--none", photos / "alef" / "0.png", *store)
    assert [(doubt["label"], doubt["other"]) for doubt in done["warnings"]] == [("", "alef")]
    assert "0.png is the same as a shot of alef" in notes
    done, notes = result_of("enroll", "omniglot", "bet", photos / "alef" / "0.png", *store)
    assert "is the same as a shot of" in notes


@pytest.mark.parametrize("arguments", [[], ["alef", "--none"]])
def test_forget_takes_a_label_or_none(arguments: list[str], store: list[object]) -> None:
    assert "either a LABEL or --none" in cli("forget", "omniglot", *arguments, *store, code=2).stderr


# Other kinds of input


def test_a_folder_of_arrays_is_enrolled_by_an_array_bundle(tmp_path: Path, store: list[object]) -> None:
    taken = {"kind": "array", "dtype": "float32", "shape": [28, 28, 1]}
    bundle = altered(tmp_path, lambda fields: fields.update(input=taken, rejection=None))
    for kind, label in enumerate(["still", "shaken"]):
        (tmp_path / "moves" / label).mkdir(parents=True)
        np.save(tmp_path / "moves" / label / "0.npy", np.full((28, 28, 1), kind, np.float32))
    np.save(tmp_path / "moves" / "still" / "short.npy", np.zeros(3, np.float32))
    done, notes = result_of("enroll", bundle, tmp_path / "moves", *store)
    assert [entry["label"] for entry in done["labels"]] == ["shaken", "still"]
    assert "short.npy of shape (3,) was given" in notes


def test_folders_of_one_label_in_two_forms_are_one_label(tmp_path: Path) -> None:
    for folder in ("Café", "Cafe\u0301"):
        png(tmp_path / "things", f"{folder}/1.png", draw(0))
    png(tmp_path / "things", "mug/1.png", draw(1))
    store = ("--store", tmp_path / "store.db")
    done = cli("enroll", "omniglot", tmp_path / "things", *store)
    assert done.stdout == "Café: 2 added, 2 shots; 2 classes\nmug: 1 added, 1 shots; 2 classes\n"
    assert cli("enroll", "omniglot", "mug ", tmp_path / "things" / "mug", *store).stdout.startswith("mug: 1 added, 2 shots")
    assert cli("rename", "omniglot", "Cafe\u0301", " tea", *store).stdout == "Café is tea: 2 shots; 2 classes\n"
    assert cli("forget", "omniglot", " tea", *store).stdout == "tea: 2 shots removed; 1 classes\n"
