"""The user's own datasets: a folder of files per class, or an .npz file with arrays `x` and `y`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import SPLITS
from edge_meta.datasets import archive
from edge_meta.datasets.base import Dataset, require_classes
from edge_meta.datasets.class_list import ClassList, class_list
from edge_meta.errors import DatasetError
from edge_meta.inputs import InputSpec
from edge_meta.inputs.array_files import read_npy
from edge_meta.inputs.folders import did_you_mean, list_folder


def load_folder(path: Path, split: str, input_spec: InputSpec, most_bytes: int = archive.MOST_BYTES) -> Dataset:
    """Load `folder:PATH`: each subfolder is a class and its files (images, recordings, arrays) the examples, in name order.

    Its `classes.csv`, if it has one, names the classes and gives them to splits; see `class_list`.

    Args:
        most_bytes: that the split's examples may take, at the size the encoder takes.

    Raises:
        DatasetError: no folder, no subfolder with files of the encoder's kind, or examples of more than `most_bytes`.
        InputError: a file cannot be read.
    """
    classes = class_files(path, input_spec)
    listed = class_list(path)
    chosen = [list(classes)[index] for index in listed.chosen(list(classes), split)]
    require_classes(f"folder:{path}", split, len(chosen))
    files = [file for name in chosen for file in classes[name]]
    examples = _read_all(f"folder:{path}", files, range(len(files)), input_spec, most_bytes)
    labels = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(classes[name]) for name in chosen])
    return Dataset(f"folder:{path}", split, examples, labels, listed.named(chosen), ("",) * len(chosen))


def _read_all(
    name: str, given: Sequence[Any] | NDArray[Any], rows: Sequence[int], input_spec: InputSpec, most_bytes: int
) -> NDArray[Any]:
    """Read some of the paths or arrays into one array (rows, *shape), if it takes no more than `most_bytes`."""
    first = input_spec.read(given[rows[0]])
    taken = len(rows) * first.nbytes
    if taken > most_bytes:
        raise DatasetError(
            f"{name} has {len(rows):,} {input_spec.noun}s in this split, {taken:,} bytes as the encoder takes them; "
            f"at most {most_bytes:,} are read.",
            "Use fewer examples, or an encoder of smaller inputs.",
        )
    examples = np.empty((len(rows), *first.shape), first.dtype)
    for example, row in zip(examples, rows, strict=True):
        example[...] = input_spec.read(given[row])
    return examples


def class_files(path: Path, input_spec: InputSpec) -> dict[str, list[Path]]:
    """List each subfolder's name, and its files of the encoder's kind in name order.

    Raises:
        DatasetError: no folder, no subfolder, or one without such files.
    """
    noun, suffixes = input_spec.noun, input_spec.suffixes
    if not path.is_dir():
        raise DatasetError(f"{path} is not a folder.", f"Give a folder with one subfolder of {noun}s per class.")
    classes = {child.name: list(list_folder(child, suffixes).examples) for child in list_folder(path, suffixes).folders}
    empty = [name for name, files in classes.items() if not files]
    if empty or not classes:
        where = f"{path / empty[0]}" if empty else f"{path}"
        raise DatasetError(
            f"{where} holds no {f'{noun}s' if empty else 'class folders'}.",
            f"{did_you_mean(path, suffixes)}Put one subfolder per class into {path}, "
            f"each with {noun} files ({', '.join(sorted(suffixes))}).",
        )
    return classes


def _member(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    member = file.getinfo(f"{name}.npy")
    with file.open(member) as opened:
        return read_npy(opened, member.file_size)


def read_npz(path: Path, remedy: str = "Save it with numpy.savez(path, x=examples, y=labels).") -> tuple[Any, Any, Any]:
    """Read the arrays x, y and, if it is there, split of an .npz file.

    Args:
        remedy: for a file that is not as it should be.

    Raises:
        DatasetError: no such file, it has no x or no y, or it unpacks to too much (see `archive.check_size`).
    """
    try:
        with zipfile.ZipFile(path) as file:
            archive.check_size(file)
            x, y = _member(file, "x"), _member(file, "y")
            splits = _member(file, "split") if "split.npy" in file.namelist() else None
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist.", "Check the path.") from None
    # A damaged archive fails in whichever of zipfile, zlib and NumPy trips over it.
    except Exception as error:
        raise DatasetError(f"{path} is not an .npz file with arrays x and y ({error}).", remedy) from None
    return x, y, splits


def load_npz(path: Path, split: str, input_spec: InputSpec, most_bytes: int = archive.MOST_BYTES) -> Dataset:
    """Load `npz:PATH`: `x` uint8 images (n, H, W[, C]), recordings (n, samples) or arrays; `y` the class of each (n,).

    A third array `split` (n,) says of each example whether it is for "train", "val" or "test". Without it, classes are
    dealt to the splits; see `split_of_classes`. `classes.csv` beside the file is read, see `class_list`.

    Args:
        most_bytes: as for `load_folder`.

    Raises:
        DatasetError: no such file, its arrays are not as above, it unpacks to too much (see `archive.check_size`), or
            examples of more than `most_bytes`.
        InputError: the examples are not what the encoder takes.
    """
    image = input_spec.noun == "image"
    x_is = "uint8 (n, H, W[, C])" if image else f"(n, {', '.join(map(str, input_spec.shape))})"
    remedy = f"Save it with numpy.savez(path, x={input_spec.noun}s, y=labels): x {x_is}, y (n,)."
    x, y, splits = read_npz(path, remedy)
    x_fits = x.dtype == np.uint8 and x.ndim in (3, 4) if image else x.ndim == 1 + len(input_spec.shape)
    if not x_fits or y.shape != x.shape[:1] or len(y) == 0 or y.dtype.kind not in "iuU":
        raise DatasetError(f"{path} has x {x.dtype} {x.shape} and y {y.dtype} {y.shape}.", remedy)
    return labelled(f"npz:{path}", split, x, y, splits, class_list(path), input_spec, most_bytes)


def labelled(
    name: str,
    split: str,
    given: Sequence[Any] | NDArray[Any],
    y: NDArray[Any],
    splits: NDArray[Any] | None,
    listed: ClassList,
    input_spec: InputSpec,
    most_bytes: int,
) -> Dataset:
    """A split of labelled paths or arrays; its classes are in the order of their labels.

    Args:
        name: of the dataset.
        given: paths or arrays (n, ...).
        y: the class of each, (n,).
        splits: the split of each, (n,); None for those of the list, or to deal classes to the splits.
        listed: names and splits of classes.
        most_bytes: as for `load_folder`.

    Raises:
        DatasetError: `splits` or the list does not fit, the split has no classes, or examples of more than `most_bytes`.
        InputError: an example is not what the encoder takes.
    """
    if splits is not None and listed.splits is not None:
        raise DatasetError(f"{name} has splits of its own, and {listed.path} has others.", "Leave out one of the two.")
    kept = np.arange(len(y)) if splits is None else _rows_of_split(name, y, splits, split)
    names, inverse = np.unique(y[kept], return_inverse=True)
    class_names = [str(each) for each in names]
    chosen = listed.chosen(class_names, split) if splits is None else list(range(len(class_names)))
    require_classes(name, split, len(chosen))
    rows = [kept[inverse == index] for index in chosen]
    examples = _read_all(name, given, np.concatenate(rows).tolist(), input_spec, most_bytes)
    labels = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(found) for found in rows])
    chosen_names = listed.named([class_names[index] for index in chosen])
    return Dataset(name, split, examples, labels, chosen_names, ("",) * len(chosen))


def _rows_of_split(name: str, y: NDArray[Any], splits: NDArray[Any], split: str) -> NDArray[np.intp]:
    """The rows that a dataset gives to a split.

    Raises:
        DatasetError: `splits` does not name a split for each example, or a class is in two splits.
    """
    if splits.shape != y.shape or not set(np.unique(splits).tolist()) <= set(SPLITS):
        raise DatasetError(
            f"{name} has a `split` that is not one of {', '.join(SPLITS)} for each example.", "Save it again."
        )
    pairs = {(str(label), str(where)) for label, where in zip(y, splits, strict=True)}
    if len(pairs) > len({label for label, _ in pairs}):
        raise DatasetError(f"{name} has a class in two splits.", "Give all examples of a class to one split.")
    return np.flatnonzero(np.ones(len(y), bool) if split == "all" else splits == split)
