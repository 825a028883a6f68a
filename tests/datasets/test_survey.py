"""A look at the user's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.device import wav

from edge_meta.datasets.survey import survey

RED, GREY = (200, 30, 30), (90, 90, 90)


def images(
    folder: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30), counts: tuple[int, ...] = (3, 2)
) -> str:
    for kind, count in enumerate(counts):
        (folder / f"class {kind}").mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", size, colour).save(folder / f"class {kind}" / f"{number}.png")
    return f"folder:{folder}"


@pytest.mark.parametrize(("colour", "is_colour"), [(RED, True), (GREY, False)])
def test_a_folder_tells_classes_colours_and_size(tmp_path: Path, colour: tuple[int, int, int], is_colour: bool) -> None:
    found = survey(images(tmp_path / "own", colour))
    assert found is not None
    assert (found.classes, found.training) == ({"class 0": 3, "class 1": 2}, None)
    assert (found.colour, found.side) == (is_colour, 30)


def test_a_csv_tells_its_split(tmp_path: Path) -> None:
    images(tmp_path, RED)
    lines = ["path,label,split", "class 0/0.png,a,train", "class 0/1.png,a,train", "class 1/0.png,b,val"]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    found = survey(f"csv:{tmp_path / 'own.csv'}")
    assert found is not None
    assert (found.classes, found.training) == ({"a": 2, "b": 1}, {"a": 2})


def test_an_npz_of_drawings_is_grey(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.zeros((4, 20, 24), np.uint8), y=np.array([0, 0, 1, 1]))
    found = survey(f"npz:{tmp_path / 'own.npz'}")
    assert found is not None
    assert (found.classes, found.colour, found.side) == ({"0": 2, "1": 2}, False, 20)


def test_recordings_are_told_by_their_files(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        wav(tmp_path / label, bytes(320))
    (tmp_path / "own.csv").write_text("path,label\na/sound.wav,a\nb/sound.wav,b")
    for name in (f"folder:{tmp_path}", f"csv:{tmp_path / 'own.csv'}"):
        found = survey(name)
        assert found is not None
        assert (found.sense, found.classes, found.channels) == ("recording", {"a": 1, "b": 1}, ())


def test_series_tell_their_channels(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.csv").write_text("left, right\n1,2\n3,4\n")
    found = survey(f"folder:{tmp_path}")
    assert found is not None
    assert (found.sense, found.channels) == ("series", ("left", "right"))


@pytest.mark.parametrize(("columns", "last"), [(6, "gz"), (3, "gz"), (7, "x7")])
def test_columns_without_names_get_some(tmp_path: Path, columns: int, last: str) -> None:
    np.savez(tmp_path / "own.npz", x=np.zeros((4, 50, columns), np.float32), y=np.arange(4))
    found = survey(f"npz:{tmp_path / 'own.npz'}")
    assert found is not None
    assert (found.sense, len(found.channels), found.channels[-1]) == ("series", max(columns, 6), last)


def test_vectors_and_named_datasets_are_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.zeros((4, 160), np.float32), y=np.arange(4))
    assert survey(f"npz:{tmp_path / 'own.npz'}") is None
    assert survey(f"folder:{tmp_path}") is None
    assert survey("omniglot") is None
