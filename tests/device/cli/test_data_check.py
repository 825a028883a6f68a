"""edge-meta data check: what is in a folder, and what to mend before training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from support.device import cli, complaint, draw, png, said, tone, wav


def photos(folder: Path, counts: dict[str, int]) -> Path:
    for kind, (label, count) in enumerate(counts.items()):
        for take in range(count):
            png(folder, f"{label}/{take}.png", draw(kind, take))
    return folder


def test_a_sound_folder_is_counted(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", {"alef": 6, "bet": 7, "gimel": 9, "dalet": 6})
    done = said(cli("data", "check", folder, "--json"))
    assert (done["kind"], done["examples"], done["splits"]) == ("image", 28, {"train": 2, "val": 1, "test": 1})
    assert done["classes"] == {"alef": 6, "bet": 7, "dalet": 6, "gimel": 9}
    assert (done["tiny"], done["duplicates"], done["unreadable"]) == ([], [], [])
    assert cli("data", "check", folder).stdout.splitlines() == [
        f"{folder}: 28 images of 4 classes, 6 to 9 each, half of the classes with 6.5 or more",
        "Classes for training: 2 train, 1 val, 1 test",
        "There is nothing to mend.",
    ]


def test_what_is_to_be_mended_is_named(tmp_path: Path) -> None:
    folder = photos(tmp_path, {"alef": 6, "bet": 7, "gimel": 2})
    shutil.copy(folder / "alef" / "0.png", folder / "alef" / "again.png")
    Image.open(folder / "bet" / "1.png").save(folder / "gimel" / "other.bmp")
    (folder / "bet" / "bad.png").write_bytes(b"nothing")
    (folder / "bet" / "phone.heic").write_bytes(b"anything")
    png(folder, "bet/more/0.png", draw(1, 99))
    done = said(cli("data", "check", folder, "--json"))
    assert done["tiny"] == ["gimel"]
    assert done["classes"] == {"alef": 7, "bet": 7, "gimel": 3}
    alef, bet = (folder / name for name in ("alef", "bet"))
    assert done["duplicates"] == [
        {"files": [str(alef / "0.png"), str(alef / "again.png")], "several_classes": False},
        {"files": [str(bet / "1.png"), str(folder / "gimel" / "other.bmp")], "several_classes": True},
    ]
    assert [Path(each["path"]).name for each in done["unreadable"]] == ["phone.heic", "more", "bad.png"]
    text = cli("data", "check", folder).stdout
    assert f"  {bet / '1.png'} = {folder / 'gimel' / 'other.bmp'} (in several classes)\n" in text
    assert "  gimel: 3\n" in text
    assert f"  {bet / 'phone.heic'} is no image file by its name.\n" in text


def test_long_lists_are_cut_in_text(tmp_path: Path) -> None:
    photos(tmp_path, {f"class {number:02}": 1 for number in range(23)})
    assert "  class 19: 1\n  and 3 more; --json lists all\n" in cli("data", "check", tmp_path).stdout


def test_recordings_and_arrays_are_checked(tmp_path: Path) -> None:
    for label in ("bell", "bark"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        wav(tmp_path / "sounds" / label, tone(440, 16000, 100).astype("<i2").tobytes())
        (tmp_path / "series" / label).mkdir(parents=True)
        np.save(tmp_path / "series" / label / "a.npy", np.ones(3, "f4"))
    (tmp_path / "series" / "bark" / "a.npy").write_bytes(b"nothing")
    sounds = said(cli("data", "check", tmp_path / "sounds", "--json"))
    assert (sounds["kind"], sounds["examples"], len(sounds["duplicates"])) == ("recording", 2, 1)
    series = said(cli("data", "check", tmp_path / "series", "--json"))
    assert (series["kind"], series["classes"]) == ("array", {"bark": 0, "bell": 1})
    assert "Training needs three classes or more" in cli("data", "check", tmp_path / "series").stdout


def test_a_folder_that_is_none_of_data_names_the_remedy(tmp_path: Path) -> None:
    photos(tmp_path / "mine" / "photos", {"alef": 1})
    assert f"Did you mean {tmp_path / 'mine' / 'photos'}?" in complaint(cli("data", "check", tmp_path / "mine", code=1))
    assert "is not a folder" in complaint(cli("data", "check", tmp_path / "nosuch", code=1))
