"""Lake's runs: the right item for each class, known by content, refused when damaged, and for evaluation alone."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.device import cli

from edge_meta.datasets import Dataset, lake, load_dataset
from edge_meta.errors import DatasetError
from edge_meta.inputs import AudioInput, ImageInput

SMALL = ImageInput(16, 16)
Members = dict[str, bytes]


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def ink() -> np.ndarray:
    """bool (run, class, 2, 16, 16), true where the paper is white: all 800 differ."""
    return np.random.default_rng(0).random((20, 20, 2, 16, 16)) < 0.8


@pytest.fixture(scope="module")
def answers() -> np.ndarray:
    """(run, item): the class of each test item."""
    return np.random.default_rng(1).permuted(np.tile(np.arange(20), (20, 1)), axis=1)


@pytest.fixture(scope="module")
def members(ink: np.ndarray, answers: np.ndarray) -> Members:
    """The files of an archive of the same form as Lake's, with smaller drawings."""
    files: Members = {}
    for index in range(20):
        run, lines = f"run{index + 1:02}", []
        for number in range(20):
            answer = answers[index, number]
            files[f"{run}/training/class{number + 1:02}.png"] = png(ink[index, number, 0])
            files[f"{run}/test/item{number + 1:02}.png"] = png(ink[index, answer, 1])
            lines.append(f"{run}/test/item{number + 1:02}.png {run}/training/class{answer + 1:02}.png\n")
        files[f"{run}/class_labels.txt"] = "".join(lines).encode()
    return files


@pytest.fixture(scope="module")
def digest(ink: np.ndarray) -> str:
    return hashlib.sha256(np.packbits(ink)).hexdigest()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes files as the local copy of Lake's runs."""
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))

    def write(files: Members, name: str = "lake_20_runs.zip", compression: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / "omniglot" / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", compression) as made:
            for member, content in files.items():
                made.writestr(member, content)
        return path

    return write


@pytest.fixture
def data(archive: Callable[..., Path], members: Members, digest: str) -> Dataset:
    archive(members)
    return lake.load("test", SMALL, digest)


def test_a_class_is_a_drawing_to_learn_from_and_its_test_item(data: Dataset, ink: np.ndarray) -> None:
    assert (data.name, data.split, data.examples.shape) == ("lake", "test", (800, 16, 16, 1))
    assert np.array_equal(data.examples.reshape(ink.shape), np.where(ink, 255, 0))
    assert data.labels.tolist() == np.repeat(range(400), 2).tolist()
    assert (data.class_names[0], data.class_names[-1]) == ("run01/class01", "run20/class20")
    assert data.groups == tuple(name[:5] for name in data.class_names)


def test_runs_are_20_episodes_of_one_shot_and_one_query(data: Dataset) -> None:
    listed = list(lake.runs(data).episodes(20))
    assert len(listed) == len(list(lake.runs(data).episodes(21))) == 20
    assert list(lake.runs(data).episodes(2))[1].query.tolist() == listed[1].query.tolist()
    for index, run in enumerate(listed):
        assert run.classes.tolist() == list(range(20 * index, 20 * index + 20))
        assert run.support.shape == run.query.shape == (20, 1)
        assert np.array_equal(run.support[:, 0], 2 * run.classes)
        assert np.array_equal(run.query[:, 0], 2 * run.classes + 1)


def test_images_have_the_size_and_channels_of_the_encoder(
    archive: Callable[..., Path], members: Members, digest: str
) -> None:
    archive(members)
    colour = lake.load("test", ImageInput(20, 24, 3), digest).examples
    gray = lake.load("test", ImageInput(20, 24), digest).examples
    assert colour.shape == (800, 20, 24, 3)
    assert np.max(np.abs(colour.astype(int) - gray)) <= 1


def test_a_rezipped_copy_is_the_same_data(
    archive: Callable[..., Path], members: Members, digest: str, data: Dataset
) -> None:
    copied = {
        name: content.replace(b"\n", b"\r\n") if name.endswith("txt") else content for name, content in members.items()
    }
    copied["__MACOSX/run01/test/._item01.png"] = b"what some zippers add"
    archive(dict(reversed(copied.items())), compression=zipfile.ZIP_DEFLATED)
    assert lake.load("test", SMALL, digest).digest == data.digest


@pytest.mark.parametrize("split", ["train", "val", "all"])
def test_no_other_split_can_be_had(split: str) -> None:
    with pytest.raises(DatasetError, match=f"lake has no {split} split: .* choose nothing by it. Train and calibrate on"):
        load_dataset("lake", split)


LABELS, ITEM, SHOWN = "run07/class_labels.txt", "run07/test/item03.png", "run07/training/class11.png"


def swapped(files: Members) -> Members:
    """Two items' classes are exchanged: still a permutation, and yet wrong."""
    first, second, *others = files[LABELS].decode().splitlines()
    (one, its), (other, answer) = first.split(), second.split()
    return {LABELS: "\n".join([f"{one} {answer}", f"{other} {its}", *others]).encode()}


DAMAGES: dict[str, Callable[[Members], dict[str, bytes | None]]] = {
    "no labels": lambda files: {LABELS: None},
    "no item": lambda files: {ITEM: None},
    "no class": lambda files: {SHOWN: None},
    "no run": lambda files: {name: None for name in files if name.startswith("run20")},
    "another run": lambda files: {"run21/test/item01.png": files[ITEM]},
    "labels in words": lambda files: {LABELS: b"none"},
    "labels cut short": lambda files: {LABELS: b"".join(files[LABELS].splitlines(keepends=True)[:19])},
    "a class named twice": lambda files: {LABELS: files[LABELS].replace(b"class04", b"class05")},
    "two answers swapped": swapped,
    "a drawing exchanged": lambda files: {ITEM: files[SHOWN]},
    "an empty drawing": lambda files: {ITEM: b""},
    "a larger drawing": lambda files: {ITEM: png(np.ones((20, 16), bool))},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_short_archive_is_refused(
    archive: Callable[..., Path], members: Members, digest: str, damage: str
) -> None:
    changed = {**members, **DAMAGES[damage](members)}
    path = archive({name: content for name, content in changed.items() if content is not None})
    with pytest.raises(DatasetError, match=f"{path} does not hold Lake's 20 runs, or is damaged. Delete it and run"):
        lake.load("test", SMALL, digest)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", "cut"], ids=["empty", "a web page", "cut short"])
def test_a_file_that_is_no_archive_is_refused(archive: Callable[..., Path], members: Members, content: bytes | str) -> None:
    path = archive(members)
    path.write_bytes(path.read_bytes()[:-1000] if isinstance(content, str) else content)
    with pytest.raises(DatasetError, match=f"{path} does not hold Lake's 20 runs"):
        load_dataset("lake", "test")


def test_local_copies_are_used_under_either_name(
    archive: Callable[..., Path], members: Members, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("it was downloaded"))
    archive(members, "all_runs.zip")
    assert len(lake.load("test", SMALL, digest).examples) == 800
    own = archive({}, "lake_20_runs.zip")
    with pytest.raises(DatasetError, match=str(own)):
        lake.load("test", SMALL, digest)


def test_a_download_comes_from_lakes_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, timeout: float) -> None:
        assert (
            url
            == "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/one-shot-classification/all_runs.zip"
        )
        raise urllib.error.URLError("offline")

    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    message = cli("data", "fetch", "lake", code=1).stderr
    assert f"lake is not at {tmp_path}/omniglot/all_runs.zip" in message
    assert "has omniglot/all_runs.zip" in message


def test_an_encoder_of_recordings_is_refused() -> None:
    with pytest.raises(DatasetError, match="lake holds images"):
        load_dataset("lake", "test", AudioInput(16000, 16000))


def test_training_on_it_is_refused(tmp_path: Path) -> None:
    message = cli("train", "--dataset", "lake", "--output", tmp_path / "run", code=1).stderr
    assert "choose nothing by it" in message
    assert not (tmp_path / "run").exists()


# --- the real archive -------------------------------------------------------------------------------------------------


def test_the_real_archive_is_sound_and_can_be_evaluated(omniglot: Path) -> None:
    data = load_dataset("lake", "test")
    assert data.examples.shape == (800, 28, 28, 1)
    assert data.examples.mean() > 200, "the paper is not white"
    assert np.min(data.examples.reshape(800, -1), axis=1).max() < 230, "a drawing has no ink"
    judged = json.loads(cli("evaluate", "omniglot", "--dataset", "lake", "--json").stdout)
    expected = {"split": "test", "way": 20, "shot": 1, "query": 1, "episodes": 20, "seed": None, "head": "prototype"}
    assert expected.items() <= judged.items()
    assert judged["accuracy"] > 0.967, "Bayesian Program Learning does better"
    assert 0 < judged["ci95"] < 0.02
    found = json.loads(cli("data", "fetch", "lake", "--json").stdout)
    assert found["dataset"] == "lake"
    assert all(Path(path).resolve().parent == omniglot / "omniglot" for path in found["files"])
