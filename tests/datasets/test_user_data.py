"""Datasets by name, and the user's own folders and .npz files, sound and damaged."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_meta.datasets import SPLITS, Dataset, load_dataset
from edge_meta.datasets.user_data import load_folder, load_npz
from edge_meta.errors import DatasetError, EdgeMetaError, InputError
from edge_meta.inputs import ImageInput

INPUT = ImageInput(16, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten classes of 2 to 4 gray PNG files, each filled with a gray of its own."""
    for label in range(10):
        (tmp_path / "photos" / f"class{label}").mkdir(parents=True)
        for example in range(2 + label % 3):
            Image.new("L", (20, 18), 20 * label + example).save(tmp_path / "photos" / f"class{label}" / f"{example}.png")
    return tmp_path / "photos"


def grays(dataset: Dataset) -> dict[str, list[int]]:
    """Class name -> the gray of each of its examples."""
    return {
        name: [int(image[0, 0, 0]) for image in dataset.examples[dataset.labels == label]]
        for label, name in enumerate(dataset.class_names)
    }


def assert_splits_partition_the_classes(name: str) -> None:
    everything = load_dataset(name, "all", INPUT)
    parts = [load_dataset(name, split, INPUT) for split in SPLITS]
    names = [class_name for part in parts for class_name in part.class_names]
    assert len(names) == len(set(names))
    assert sorted(names) == sorted(everything.class_names)
    assert sum(len(part.examples) for part in parts) == len(everything.examples)
    together = {class_name: examples for part in parts for class_name, examples in grays(part).items()}
    assert together == grays(everything)


@pytest.mark.parametrize("name", ["nonsense", "", "folder", "folder:", "npz:", "omniglot:PATH", "Omniglot"])
def test_a_name_outside_of_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(
        DatasetError,
        match=r"There is no dataset .* Use omniglot, lake, glyphs, folder:PATH, .*csv:PATH, huggingface:PATH or shards:PATH",
    ):
        load_dataset(name, "train")


def test_a_split_that_there_is_not_is_refused() -> None:
    with pytest.raises(DatasetError, match="There is no split 'validation'"):
        load_dataset("glyphs", "validation")


# --- folder:PATH ------------------------------------------------------------------------------------------------------


def test_a_folder_gives_a_class_for_each_subfolder(folder: Path) -> None:
    (folder / "class3" / "notes.txt").write_text("not an image")
    (folder / ".hidden").mkdir()
    (folder / "README").write_text("not a class")
    data = load_dataset(f"folder:{folder}", "all", INPUT)
    assert data.examples.shape == (29, 16, 16, 1)
    assert grays(data) == {f"class{k}": [20 * k + example for example in range(2 + k % 3)] for k in range(10)}


def test_a_folder_one_level_too_high_gets_the_one_below(folder: Path) -> None:
    with pytest.raises(DatasetError, match=rf"Did you mean {folder}\? Put one subfolder per class"):
        load_dataset(f"folder:{folder.parent}", "all", INPUT)


def test_a_folders_splits_partition_its_classes(folder: Path) -> None:
    assert_splits_partition_the_classes(f"folder:{folder}")


def test_the_order_in_which_files_were_made_does_not_matter(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for file in sorted(folder.rglob("*.png"), reverse=True):
        target = copy / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    for split in SPLITS:
        assert load_dataset(f"folder:{copy}", split, INPUT).digest == load_dataset(f"folder:{folder}", split, INPUT).digest


def test_colour_files_are_read_as_the_encoder_takes_them(folder: Path) -> None:
    Image.new("RGB", (20, 18), (250, 10, 20)).save(folder / "class0" / "0.png")
    colours = load_dataset(f"folder:{folder}", "all", ImageInput(16, 16, 3))
    assert colours.examples.shape == (29, 16, 16, 3)
    assert colours.examples[0, 8, 8].tolist() == [250, 10, 20]
    assert load_dataset(f"folder:{folder}", "all", INPUT).examples[0, 8, 8, 0] == round(
        0.299 * 250 + 0.587 * 10 + 0.114 * 20
    )


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="missing is not a folder"):
        load_dataset(f"folder:{tmp_path / 'missing'}", "train")
    with pytest.raises(DatasetError, match=f"{tmp_path} holds no class folders"):
        load_dataset(f"folder:{tmp_path}", "train")


def test_a_class_folder_without_images_is_named(folder: Path) -> None:
    (folder / "forgotten").mkdir()
    (folder / "forgotten" / "notes.txt").write_text("not an image")
    with pytest.raises(DatasetError, match="forgotten holds no images"):
        load_dataset(f"folder:{folder}", "train")


@pytest.mark.parametrize("content", [b"", b"not a picture", "cut"], ids=["empty", "text", "cut short"])
def test_a_damaged_picture_among_good_ones_is_named(folder: Path, content: bytes | str) -> None:
    file = folder / "class7" / "1.png"
    file.write_bytes(file.read_bytes()[:50] if content == "cut" else content)
    with pytest.raises(InputError, match=r"class7/1\.png is not a readable image"):
        load_dataset(f"folder:{folder}", "all", INPUT)


def test_a_folder_of_two_classes_has_no_val_split(folder: Path) -> None:
    for label in range(2, 10):
        (folder / f"class{label}").rename(folder / f".class{label}")
    with pytest.raises(DatasetError, match=r"val split of folder:.* has no classes.* at least three classes"):
        load_dataset(f"folder:{folder}", "val", INPUT)


def test_a_folder_of_more_than_the_limit_is_refused(folder: Path) -> None:
    assert len(load_folder(folder, "all", INPUT, most_bytes=29 * 256).examples) == 29
    with pytest.raises(DatasetError, match=r"29 images in this split, 7,424 bytes .* at most 7,423"):
        load_folder(folder, "all", INPUT, most_bytes=29 * 256 - 1)


def test_an_npz_of_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 1, 1), np.uint8), y=[0, 0, 1, 1, 2, 2])
    assert len(load_npz(tmp_path / "a.npz", "all", INPUT, most_bytes=6 * 256).examples) == 6
    with pytest.raises(DatasetError, match=r"6 images in this split, 1,536 bytes .* at most 1,535"):
        load_npz(tmp_path / "a.npz", "all", INPUT, most_bytes=6 * 256 - 1)


# --- npz:PATH ---------------------------------------------------------------------------------------------------------


def own(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def filled(labels: list) -> np.ndarray:
    """uint8 (n, 16, 16): the n-th image is filled with gray n."""
    return np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None], (len(labels), 16, 16))


def test_an_npz_gives_the_examples_of_each_label(tmp_path: Path) -> None:
    labels = [7, 3, 3, 12, 7, 3]
    data = load_dataset(own(tmp_path / "own.npz", x=filled(labels), y=np.array(labels)), "all", INPUT)
    assert grays(data) == {"3": [1, 2, 5], "7": [0, 4], "12": [3]}
    assert data.examples.shape == (6, 16, 16, 1)


def test_an_npz_may_have_strings_as_labels(tmp_path: Path) -> None:
    labels = ["ش", "alef", "alef", "b"]
    data = load_dataset(own(tmp_path / "own.npz", x=filled(labels), y=np.array(labels)), "all", INPUT)
    assert grays(data) == {"alef": [1, 2], "b": [3], "ش": [0]}


def test_an_npz_may_say_the_split_of_each_example(tmp_path: Path) -> None:
    labels = [0, 0, 1, 1, 2, 2]
    split = np.array(["train", "train", "val", "val", "train", "train"])
    name = own(tmp_path / "own.npz", x=filled(labels), y=np.array(labels), split=split)
    classes = {each: load_dataset(name, each, INPUT).class_names for each in ("train", "val", "all")}
    assert classes == {"train": ("0", "2"), "val": ("1",), "all": ("0", "1", "2")}
    with pytest.raises(DatasetError, match=r"test split .* no classes"):
        load_dataset(name, "test", INPUT)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (["train", "val", "val", "val"], "class in two splits"),
        (["train", "train", "x", "x"], "not one of"),
        (["val"], "not one of"),
    ],
)
def test_an_npz_with_an_impossible_split_is_refused(tmp_path: Path, split: list[str], message: str) -> None:
    name = own(tmp_path / "own.npz", x=filled([0, 0, 1, 1]), y=np.array([0, 0, 1, 1]), split=np.array(split))
    with pytest.raises(DatasetError, match=message):
        load_dataset(name, "train", INPUT)


def test_an_npzs_splits_do_not_depend_on_the_order_of_its_rows(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(20), 3)
    name = own(tmp_path / "own.npz", x=filled(list(labels)), y=labels)
    assert_splits_partition_the_classes(name)
    order = np.random.default_rng(0).permutation(60)
    shuffled = own(tmp_path / "shuffled.npz", x=filled(list(labels))[order], y=labels[order])
    for split in SPLITS:
        one, other = load_dataset(name, split, INPUT), load_dataset(shuffled, split, INPUT)
        assert {label: sorted(grays(other)[label]) for label in other.class_names} == grays(one)
        assert load_dataset(name, split, INPUT).digest == one.digest


def test_an_npz_of_colour_images_is_read_as_colours_and_resized(tmp_path: Path) -> None:
    x = np.zeros((6, 40, 24, 3), np.uint8)
    x[..., 0] = 200
    data = load_dataset(own(tmp_path / "own.npz", x=x, y=np.arange(6)), "all", ImageInput(16, 16, 3))
    assert data.examples.shape == (6, 16, 16, 3)
    assert np.all(data.examples == [200, 0, 0])
    with pytest.raises(InputError, match="grayscale"):
        load_dataset(f"npz:{tmp_path / 'own.npz'}", "all", INPUT)


SIX = np.arange(6)
GOOD = np.zeros((6, 16, 16), np.uint8)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": GOOD.astype(np.float32), "y": SIX},
        {"x": GOOD.astype(np.int64), "y": SIX},
        {"x": GOOD[0], "y": SIX},
        {"x": np.zeros((6, 2, 16, 16, 1), np.uint8), "y": SIX},
        {"x": GOOD, "y": SIX[:5]},
        {"x": GOOD, "y": SIX[:, None]},
        {"x": GOOD, "y": SIX.astype(float)},
        {"x": GOOD[:0], "y": SIX[:0]},
        {"x": GOOD},
        {"y": SIX},
        {"x": GOOD, "y": np.array([{}] * 6, object)},
    ],
    ids=["float", "int64", "one image", "rank 5", "short y", "column y", "float y", "none", "no y", "no x", "objects"],
)
def test_an_npz_of_other_arrays_is_refused_with_a_remedy(tmp_path: Path, arrays: dict) -> None:
    with pytest.raises(DatasetError, match=r"own\.npz.* numpy\.savez\(path, x=images, y=labels\)"):
        load_dataset(own(tmp_path / "own.npz", **arrays), "all", INPUT)


def as_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, GOOD)


def cut_short(path: Path) -> None:
    np.savez(path, x=GOOD, y=SIX)
    path.write_bytes(path.read_bytes()[:-100])


def as_text(path: Path) -> None:
    path.write_text("x,y")


@pytest.mark.parametrize("write", [Path.touch, as_text, as_npy, cut_short])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "own.npz")
    with pytest.raises(DatasetError, match=r"own\.npz is not an \.npz file"):
        load_dataset(f"npz:{tmp_path / 'own.npz'}", "all", INPUT)


def test_an_npz_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"own\.npz does not exist"):
        load_dataset(f"npz:{tmp_path / 'own.npz'}", "all", INPUT)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_to_an_npz_is_more_than_a_clear_error(tmp_path: Path, save: Callable) -> None:
    content = io.BytesIO()
    rng = np.random.default_rng(0)
    save(content, x=rng.integers(0, 256, (30, 8, 8), dtype=np.uint8), y=np.repeat(np.arange(10), 3))
    refused = 0
    for _ in range(250):
        damaged = bytearray(content.getvalue())
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        (tmp_path / "own.npz").write_bytes(damaged)
        try:
            load_dataset(f"npz:{tmp_path / 'own.npz'}", "all", INPUT)
        except EdgeMetaError:
            refused += 1
    assert refused > 100
