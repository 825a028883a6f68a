"""The embedded dataset: enough characters, no look-alikes, split by character, drawn legibly and reproducibly."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

from PIL import Image, ImageDraw

from edge_meta.datasets import SPLITS, Dataset, glyphs, load_dataset
from edge_meta.datasets.base import split_of_classes
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import BackendError, DatasetError
from edge_meta.inputs import ImageInput


@pytest.fixture(scope="module")
def everything() -> Dataset:
    return load_dataset("glyphs", "all")


@pytest.fixture(scope="module")
def held_out() -> Dataset:
    return load_dataset("glyphs", "test")


def test_has_enough_classes_of_many_scripts(everything: Dataset) -> None:
    assert len(everything.class_names) >= 600
    assert len(set(everything.class_names)) == len(everything.class_names)
    assert np.all(np.bincount(everything.labels) == 20)
    assert everything.examples.shape == (20 * len(everything.class_names), 28, 28, 1)
    groups = dict(zip(everything.class_names, everything.groups, strict=True))
    assert groups["U+0041 A"] == "Latin"
    assert groups["U+0429 Щ"] == "Cyrillic"
    assert groups["U+1401 ᐁ"] == "Canadian Syllabics"
    assert len(set(everything.groups)) >= 10


def test_splits_share_no_character(everything: Dataset, held_out: Dataset) -> None:
    symbols = [character.name for character in glyphs.characters()]
    parts = {split: {symbols[i] for i in split_of_classes(symbols, split)} for split in SPLITS}
    assert parts["test"] == set(held_out.class_names)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == len(everything.class_names)
    assert len(parts["train"]) > 2 * len(parts["val"]) > 200


def test_examples_depend_on_the_seed_and_not_on_the_split(everything: Dataset, held_out: Dataset) -> None:
    per_class = everything.examples.reshape(-1, 20, 28, 28, 1)
    same = [everything.class_names.index(name) for name in held_out.class_names]
    assert np.array_equal(per_class[same].reshape(held_out.examples.shape), held_out.examples)
    other = glyphs.load("test", ImageInput(), seed=1)
    assert other.class_names == held_out.class_names
    assert np.all(np.any(other.examples != held_out.examples, axis=(1, 2, 3)))
    assert len(np.unique(everything.examples.reshape(-1, 28 * 28), axis=0)) == len(everything.examples)


@pytest.mark.parametrize(
    "family", ["AΑАᗅꓮ", "CcСсϹᑕⅭꓚ", "OoΟοОоՕօ", "HΗНнꓧ", "SsЅѕՏꓢ", "XxΧХхꓫ", "IΙІlıꓲӀ", "VvѴᐯꓦ", "ɸф", "NΝꓠ"]
)
def test_a_family_of_look_alikes_is_at_most_one_class(family: str) -> None:
    kept = {character.symbol for character in glyphs.characters()}
    assert len(kept & set(family)) <= 1, kept & set(family)


@pytest.mark.parametrize("face", glyphs.UPRIGHT)
def test_no_two_classes_look_alike_by_a_plain_measure(face: str) -> None:
    symbols = [character.symbol for character in glyphs.characters() if face in character.faces][:45]
    inks = [_fitted(symbol, face) for symbol in symbols]
    widened = [_widened(ink) for ink in inks]
    shares = np.zeros((len(symbols), len(symbols)))
    for one in range(len(symbols)):
        for other in range(len(symbols)):
            near = [value * level for value, level in zip(inks[one].flat, widened[other].flat, strict=True) if value]
            shares[one, other] = sum(near) / inks[one].sum() / 255
    alike = np.minimum(shares, shares.T)
    assert np.allclose(alike, glyphs.likeness(symbols, face), atol=1e-4)
    assert np.all(np.diag(alike) > 0.97)
    assert np.max(alike - np.eye(len(symbols))) < 0.94


def _fitted(symbol: str, face: str) -> np.ndarray:
    page = Image.new("L", (400, 400))
    ImageDraw.Draw(page).text((150, 200), symbol, fill=255, font=glyphs.font_of(face), anchor="ls")
    ink = page.crop(page.getbbox())
    scale = glyphs.FITTED / max(ink.size)
    ink = ink.resize([max(1, round(scale * side)) for side in ink.size], Image.Resampling.BILINEAR)
    square = Image.new("L", (glyphs.FITTED, glyphs.FITTED))
    square.paste(ink, [round((glyphs.FITTED - side) / 2) for side in ink.size])
    return np.asarray(square, float)


def _widened(ink: np.ndarray) -> np.ndarray:
    reach = glyphs.NEAR // 2
    rows = range(len(ink))
    return np.array(
        [[ink[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].max() for x in rows] for y in rows]
    )


def test_every_face_of_a_class_is_used_and_three_differ() -> None:
    for character in glyphs.characters():
        undistorted = {ink.tobytes() for ink in glyphs.inks_in_turn(character, np.random.default_rng(0))}
        faces = {glyphs.ink_of(character.symbol, face).tobytes() for face in character.faces}
        assert len(faces) >= 3, character
        assert len(undistorted) == len(faces), character


def test_drawings_are_dark_ink_on_white_and_not_cut_off(everything: Dataset) -> None:
    images = everything.examples[..., 0]
    assert np.all(images.mean(axis=(1, 2)) > 127)
    assert np.min(np.sum(images < 128, axis=(1, 2))) >= 10
    edges = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert np.min(edges.mean(axis=1)) > 230
    assert np.mean(np.all(edges > 200, axis=1)) > 0.99


def test_a_class_can_be_told_by_its_examples(held_out: Dataset) -> None:
    pixels = ImageInput().normalize(held_out.examples).reshape(len(held_out.examples), -1)
    right = []
    for episode in EpisodeSampler(held_out, way=5, shot=5, query=5).episodes(60):
        prototypes = pixels[episode.support].mean(axis=1)
        distances = np.linalg.norm(pixels[episode.query][:, :, None] - prototypes, axis=3)
        right.append(np.mean(distances.argmin(axis=2) == np.arange(5)[:, None]))
    assert 0.6 < np.mean(right) < 0.98  # chance is 0.2; pixels alone should not solve it


def test_takes_the_size_and_channels_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    few = glyphs.characters()[:3]
    monkeypatch.setattr(glyphs, "characters", lambda: few)
    colour = glyphs.load("all", ImageInput(32, 40, 3)).examples
    gray = glyphs.load("all", ImageInput(32, 40, 1)).examples
    assert colour.shape == (60, 32, 40, 3)
    # Resizing three channels at once may round otherwise than resizing one.
    assert np.max(np.abs(colour.astype(int) - gray)) <= 1


def test_says_when_the_type_faces_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(DatasetError, match=r"DejaVuSans\.ttf is missing"):
        glyphs.characters.__wrapped__()


@pytest.mark.parametrize("package", ["matplotlib", "PIL"])
def test_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "edge_meta.datasets.glyphs")
    with pytest.raises(BackendError, match=r'pip install "edge-meta\[train\]"'):
        importlib.import_module("edge_meta.datasets.glyphs")
