"""Omniglot: split as in Lake et al., known by its content and not by its bytes, and refused when damaged."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from edge_meta.datasets import Dataset, load_dataset, omniglot
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import BackendError, DatasetError
from edge_meta.inputs import ImageInput

SMALL = ImageInput(16, 16)
ARCHIVE = "images_evaluation.zip"


# --- the real archives ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def splits(request: pytest.FixtureRequest) -> dict[str, Dataset]:
    request.getfixturevalue("omniglot")
    return {split: load_dataset("omniglot", split) for split in ("train", "val", "test")}


@pytest.mark.parametrize(("split", "classes", "alphabets"), [("train", 817, 25), ("val", 147, 5), ("test", 659, 20)])
def test_a_split_has_its_classes_of_20_drawings(
    splits: dict[str, Dataset], split: str, classes: int, alphabets: int
) -> None:
    data = splits[split]
    assert len(data.class_names) == len(set(data.class_names)) == classes
    assert np.all(np.bincount(data.labels) == 20)
    assert data.examples.shape == (20 * classes, 28, 28, 1)
    assert data.groups == tuple(name.split("/")[0] for name in data.class_names)
    assert len(set(data.groups)) == alphabets
    assert data.authors is not None
    assert data.authors.dtype == np.int32
    assert np.array_equal(data.authors.reshape(classes, 20), [range(20)] * classes)


def test_splits_share_no_alphabet_and_val_has_the_five_held_back(splits: dict[str, Dataset]) -> None:
    train, val, test = (set(splits[split].groups) for split in ("train", "val", "test"))
    assert val == {"Bengali", "Early_Aramaic", "Hebrew", "Korean", "Tagalog"}
    assert not train & val | train & test | val & test
    assert "Latin" in train
    assert "Tengwar" in test


def test_drawings_are_dark_ink_on_white(splits: dict[str, Dataset]) -> None:
    for data in splits.values():
        assert data.examples.mean() > 200
        assert data.examples.max() == 255
        assert np.median(data.examples[:, [0, 0, -1, -1], [0, -1, 0, -1]]) == 255
        assert np.min(data.examples.reshape(len(data.examples), -1), axis=1).max() < 230, "a drawing has no ink"


def test_a_drawing_is_the_archives_own(omniglot: Path, splits: dict[str, Dataset]) -> None:
    name = splits["test"].class_names[3]
    with zipfile.ZipFile(omniglot / "omniglot" / ARCHIVE) as archive:
        member = sorted(member for member in archive.namelist() if f"/{name}/" in member and member.endswith(".png"))[7]
        drawing = np.asarray(Image.open(io.BytesIO(archive.read(member))).convert("L"))
    expected = np.asarray(Image.fromarray(drawing).resize((28, 28), Image.Resampling.BILINEAR), int)
    assert np.max(np.abs(splits["test"].examples[3 * 20 + 7, :, :, 0] - expected)) <= 2
    assert splits["test"].authors is not None
    assert member.endswith(f"_{splits['test'].authors[3 * 20 + 7] + 1:02}.png"), "the author is not who drew it"


def test_episodes_like_lakes_have_one_alphabet_and_two_drawers(
    splits: dict[str, Dataset],
) -> None:
    data = splits["test"]
    assert data.authors is not None
    drawn = set()
    for episode in EpisodeSampler(data, way=20, shot=1, query=1, within_group=True).episodes(200):
        (alphabet,) = {data.groups[label] for label in episode.classes}
        (teacher,), (asker,) = (set(data.authors[part].ravel().tolist()) for part in (episode.support, episode.query))
        assert teacher != asker
        drawn.add(alphabet)
    counts = {alphabet: data.groups.count(alphabet) for alphabet in data.groups}
    assert drawn == {alphabet for alphabet, count in counts.items() if count >= 20}


@pytest.fixture
def copy(omniglot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the evaluation archive anew, each member changed, or left out where the change gives None."""

    def make(change: Callable[[str, bytes], bytes | None]) -> Path:
        monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
        (tmp_path / "omniglot").mkdir()
        made = tmp_path / "omniglot" / ARCHIVE
        with zipfile.ZipFile(omniglot / "omniglot" / ARCHIVE) as old, zipfile.ZipFile(made, "w") as new:
            for member in sorted(old.namelist(), reverse=True):
                content = change(member, old.read(member))
                if content is not None:
                    new.writestr(member, content)
            new.writestr("__MACOSX/images_evaluation/._x.png", b"what some zippers add")
        return made

    return make


def test_a_rezipped_copy_in_another_order_is_accepted(copy: Callable[..., Path], splits: dict[str, Dataset]) -> None:
    copy(lambda member, content: content)
    assert load_dataset("omniglot", "test").digest == splits["test"].digest


def test_a_copy_without_one_drawing_is_refused_and_named(copy: Callable[..., Path]) -> None:
    path = copy(lambda member, content: None if "Tengwar/character11" in member and member.endswith("_05.png") else content)
    with pytest.raises(DatasetError, match=rf"{path} does not hold Omniglot's images_evaluation, or is damaged\. Delete it"):
        load_dataset("omniglot", "test", SMALL)


def test_a_copy_with_one_drawing_changed_is_refused(copy: Callable[..., Path]) -> None:
    def change(member: str, content: bytes) -> bytes:
        if not ("Tengwar/character11" in member and member.endswith("_05.png")):
            return content
        drawing = Image.open(io.BytesIO(content))
        drawing.putpixel((0, 0), 0)
        changed = io.BytesIO()
        drawing.save(changed, "PNG")
        return changed.getvalue()

    path = copy(change)
    with pytest.raises(DatasetError, match=f"{path} does not hold Omniglot's"):
        load_dataset("omniglot", "test", SMALL)


def test_a_truncated_archive_is_refused(omniglot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "omniglot").mkdir()
    path = Path(shutil.copy(omniglot / "omniglot" / ARCHIVE, tmp_path / "omniglot"))
    with path.open("r+b") as file:
        file.truncate(2_000_000)
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=f"{path} does not hold Omniglot's"):
        load_dataset("omniglot", "test", SMALL)


# --- archives of the same form, with six drawings ---------------------------------------------------------------------


class Miniature(NamedTuple):
    path: Path
    part: omniglot.Part

    def load(self) -> Dataset:
        return omniglot.load("test", SMALL, evaluation=self.part)


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def miniature(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Miniature:
    """An archive of two characters in the evaluation archive's place."""
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
    path = tmp_path / "omniglot" / ARCHIVE
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    sha = hashlib.sha256()
    with zipfile.ZipFile(path, "w", request.param) as archive:
        for name in ("Angelic/character01", "Tengwar/character02"):
            sha.update(name.encode())
            for drawer in range(3):
                ink = rng.random((32, 32)) < 0.1
                content = io.BytesIO()
                Image.fromarray(~ink).save(content, "PNG")
                archive.writestr(f"images_evaluation/{name}/{drawer}.png", content.getvalue())
                sha.update(np.packbits(~ink))
    return Miniature(path, omniglot.Part("images_evaluation", 2, 6, sha.hexdigest()))


def test_the_small_archive_is_sound(miniature: Miniature) -> None:
    data = miniature.load()
    assert data.class_names == ("Angelic/character01", "Tengwar/character02")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.authors is not None
    assert data.authors.tolist() == [0, 1, 2, 0, 1, 2]


def test_colour_encoders_get_three_equal_channels(miniature: Miniature) -> None:
    colour = omniglot.load("test", ImageInput(16, 16, 3), evaluation=miniature.part).examples
    assert colour.shape == (6, 16, 16, 3)
    assert np.max(np.abs(colour.astype(int) - miniature.load().examples)) <= 1


def test_without_pillow_the_archive_is_not_called_damaged(miniature: Miniature, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendError, match=r'pip install "edge-meta\[image\]"'):
        miniature.load()


def test_no_damage_to_an_archive_is_more_than_a_clear_error(miniature: Miniature) -> None:
    sound, digest = miniature.path.read_bytes(), miniature.load().digest
    rng = random.Random(0)
    refused = 0
    for _ in range(250):
        damaged = bytearray(sound)
        damaged[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
        miniature.path.write_bytes(damaged)
        try:
            data = miniature.load()
        except DatasetError:
            refused += 1
        else:
            assert data.digest == digest  # what was hit does not count, such as a date
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", "other"], ids=["empty", "a web page", "another zip"])
def test_another_file_is_refused_and_not_deleted(miniature: Miniature, content: bytes | str) -> None:
    if content == "other":
        with zipfile.ZipFile(miniature.path, "w") as archive:
            archive.writestr("images_background/Latin/character01/1.png", b"")
    else:
        miniature.path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{miniature.path} .* Delete it and run: edge-meta data fetch omniglot"):
        miniature.load()
    assert miniature.path.exists()
