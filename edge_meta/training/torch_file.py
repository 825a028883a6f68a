"""PyTorch's weight files (`.pth`), read without PyTorch, and without running what a pickle may hold.

A `.pth` is a pickle, which can call any function. The reader here knows tensors and their dictionary alone and refuses
everything else. It reads both layouts of `torch.save`: the zip archive of today and the sequence of pickles before 1.6.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import TrainingError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4"}


def read_torch_file(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the state dictionary of a PyTorch module.

    Args:
        path: written by `torch.save(module.state_dict(), path)`.

    Returns:
        Name → array, in the file's order.

    Raises:
        TrainingError: no such file, damaged, or it holds more than tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            state = _read_archive(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        return {str(name): tensor.array() for name, tensor in state.items()}
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist.", "Check the path.") from None
    # A damaged pickle fails in whichever instruction trips over it.
    except Exception as error:
        raise TrainingError(
            f"{path} is not a dictionary of tensors ({error}).", "Save it with torch.save(module.state_dict(), path)."
        ) from None


class _Tensor:
    """A view of a storage; the storage's values come later in the older layout."""

    def __init__(self, values: Callable[[], NDArray[Any]], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]):
        self._values, self._offset, self._shape, self._strides = values, offset, shape, strides

    def array(self) -> NDArray[Any]:
        values = self._values()
        last = self._offset + sum((side - 1) * stride for side, stride in zip(self._shape, self._strides, strict=True))
        if self._offset < 0 or min(self._strides, default=0) < 0 or last >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [stride * values.itemsize for stride in self._strides]
        array: NDArray[Any] = np.lib.stride_tricks.as_strided(values[self._offset :], self._shape, strides).copy()
        return array


class _Unpickler(pickle.Unpickler):
    """Build dictionaries of tensors, and refuse every other object."""

    def __init__(self, file: BinaryIO | io.BytesIO, storage: Callable[[str, str], Callable[[], NDArray[Any]]]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda values, offset, shape, strides, *_: _Tensor(values, offset, shape, strides)
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Callable[[], NDArray[Any]]:
        _, kind, key, *_ = pid
        return self._storage(kind, key)


def _read_archive(file: BinaryIO) -> dict[str, _Tensor]:
    with zipfile.ZipFile(file) as archive:
        (index,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = index.removesuffix("data.pkl")

        def storage(kind: str, key: str) -> Callable[[], NDArray[Any]]:
            values = np.frombuffer(archive.read(f"{folder}data/{key}"), STORAGES[kind])
            return lambda: values

        state: dict[str, _Tensor] = _Unpickler(io.BytesIO(archive.read(index)), storage).load()
        return state


def _read_legacy(file: BinaryIO) -> dict[str, _Tensor]:
    storages: dict[str, NDArray[Any]] = {}
    kinds: dict[str, str] = {}

    def storage(kind: str, key: str) -> Callable[[], NDArray[Any]]:
        kinds[key] = STORAGES[kind]
        return lambda: storages[key]

    def load() -> Any:
        return _Unpickler(file, storage).load()

    file.seek(0)
    if load() != LEGACY_MAGIC:
        raise ValueError("no PyTorch file")
    load(), load()  # the layout's version, and the writer's sizes of integers
    state: dict[str, _Tensor] = load()
    for key in load():
        (count,) = np.frombuffer(file.read(8), "<i8")
        dtype = np.dtype(kinds[key])
        storages[key] = np.frombuffer(file.read(int(count) * dtype.itemsize), dtype)
        if len(storages[key]) != count:
            raise ValueError("it is cut off")
    return state
