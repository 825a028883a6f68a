"""The recipe of the bundle for photos, on archives of a few small photos."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_meta.runtime.bundle import Bundle

FOLDER = Path(__file__).parents[2] / "benchmarks" / "objects"
CLASSES = {"caltech": 10, "groceries": 10, "tiny": 3}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("collect", "judge", "fine_tune"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return FOLDER


@pytest.fixture
def archives(scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Archives with the layouts of the real ones, 12 photos of a colour in each class."""
    import collect

    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path))
    rng = np.random.default_rng(0)

    def photo(colour: np.ndarray) -> bytes:
        pixels = (colour + rng.integers(-20, 20, (32, 32, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
        return file.getvalue()

    for name, source in collect.SOURCES.items():
        path = tmp_path / source.archive
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(CLASSES.get(name, 0)):
                colour = rng.integers(20, 235, 3)
                for take in range(12):
                    archive.writestr(f"photos/class {number}/{take}.png", photo(colour))
            if name == "samples":
                for number in range(30):
                    archive.writestr(f"{number:02}.png", photo(rng.integers(20, 235, 3)))
            if name == "caltech":
                archive.writestr("photos/Faces_easy/0.png", photo(rng.integers(20, 235, 3)))
    return tmp_path


def test_collected_photos_are_of_training_and_validation(archives: Path) -> None:
    import collect

    done = CliRunner().invoke(collect.collect, ["--output", str(archives / "objects.npz")], catch_exceptions=False)
    assert done.exit_code == 0
    with np.load(archives / "objects.npz") as written:
        assert written["x"].shape[1:] == (128, 128, 3)
        splits, classes = written["split"].tolist(), written["y"].tolist()
    named = {(split, label.rsplit(" ", 1)[0]) for split, label in zip(splits, classes, strict=True)}
    train, val = ({label for split, label in named if split == chosen} for chosen in ("train", "val"))
    held_back = {
        f"{name}/{label}"
        for name in ("caltech", "groceries")
        for label, _ in collect.photos_of(collect.SOURCES[name], "test")
    }
    assert {sum(label.startswith(name) for label in train) for name in ("caltech", "groceries")} == {6}
    assert len(val) == 4
    assert len(held_back) == 4
    assert not (train & val) | ((train | val) & held_back)
    assert {"samples/00", "samples/01", "tiny/class 0"} <= train
    assert not any("Faces_easy" in label for label in train | val | held_back)


def test_fine_tuning_sees_no_test_class_of_groceries(archives: Path) -> None:
    import collect
    import fine_tune

    fine_tune.collect_groceries(archives / "groceries.npz")
    with np.load(archives / "groceries.npz") as written:
        named = set(zip(written["split"].tolist(), written["y"].tolist(), strict=True))
        assert written["x"].shape == (8 * 12, 128, 128, 3)
    held_back = {label for label, _ in collect.photos_of(collect.SOURCES["groceries"], "test")}
    assert len(held_back) == 2
    assert not held_back & {label for _, label in named}
    assert [sum(split == each for split, _ in named) for each in ("train", "val")] == [6, 2]


def test_fine_tuning_starts_from_the_encoder_of_the_bundle(scripts: Path) -> None:
    import fine_tune

    from edge_meta.training.encoders import photo12
    from edge_meta.training.run import RunFolder
    from edge_meta.training.start import start_from

    encoder = photo12((128, 128, 3))
    start_from(str(fine_tune.START), encoder, "photo12", np.zeros((0, 128, 128, 3), np.uint8))
    kept = RunFolder(scripts).load_encoder().get_weights()
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(encoder.get_weights(), kept, strict=True))


def test_a_bundle_is_judged_on_held_back_classes(archives: Path) -> None:
    import judge

    rows = list(judge.judge(Bundle.open("objects"), "test", judge.Protocol(2, 20, 20, 3)))
    assert [(row["classes"], row["shot"]) for row in rows if "accuracy" in row] == [
        ("caltech", 1), ("caltech", 5), ("groceries", 1), ("groceries", 5),
    ]  # fmt: skip
    assert all(row["accuracy"] > 0.8 for row in rows if "accuracy" in row)  # of two colours
