"""PyTorch's weight files, written here as `torch.save` writes them, in both of its layouts."""

import collections
import io
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_meta.errors import TrainingError
from edge_meta.training.torch_file import LEGACY_MAGIC, read_torch_file

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "norm.count": np.array(7, np.int64),
    "half": np.array([0.5, -2.0], np.float16),
}
KINDS = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}


class Storage:
    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class Tensor:
    def __init__(self, storage: Storage, shape: tuple[int, ...], offset: int = 0, strides: tuple[int, ...] | None = None):
        row_major = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        self.arguments = (
            storage,
            offset,
            shape,
            row_major if strides is None else strides,
            False,
            collections.OrderedDict(),
        )

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, item):
        if isinstance(item, Storage):
            kind = getattr(sys.modules["torch"], KINDS[item.values.dtype.name])
            return ("storage", kind, item.key, "cpu", item.values.size)
        return None


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Names that a pickle can refer to as PyTorch's."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in KINDS.values():
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def pickled(state: object) -> bytes:
    written = io.BytesIO()
    Pickler(written, protocol=2).dump(state)
    return written.getvalue()


def tensors() -> tuple[dict[str, Tensor], list[Storage]]:
    storages = [Storage(str(key), values.ravel()) for key, values in enumerate(ARRAYS.values())]
    state = {name: Tensor(storage, ARRAYS[name].shape) for name, storage in zip(ARRAYS, storages, strict=True)}
    return collections.OrderedDict(state), storages


def write_legacy(path: Path, state: object, storages: list[Storage]) -> Path:
    parts = [pickle.dumps(each, protocol=2) for each in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps([storage.key for storage in storages], protocol=2)
    values = [np.int64(each.values.size).tobytes() + each.values.tobytes() for each in storages]
    path.write_bytes(b"".join([*parts, pickled(state), keys, *values]))
    return path


def write_archive(path: Path, state: object, storages: list[Storage]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickled(state))
        for storage in storages:
            archive.writestr(f"weights/data/{storage.key}", storage.values.tobytes())
    return path


@pytest.mark.parametrize("write", [write_legacy, write_archive])
def test_all_tensors_come_back(tmp_path, write):
    read = read_torch_file(write(tmp_path / "weights.pth", *tensors()))

    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_transposed_view_is_read_by_its_strides(tmp_path):
    storage = Storage("0", np.arange(6, dtype=np.float32))
    state = {"turned": Tensor(storage, (2, 2), offset=1, strides=(1, 3))}

    read = read_torch_file(write_archive(tmp_path / "weights.pth", state, [storage]))

    np.testing.assert_array_equal(read["turned"], [[1, 4], [2, 5]])


@pytest.mark.parametrize("write", [write_legacy, write_archive])
def test_a_pickle_that_calls_a_function_is_refused(tmp_path, write):
    made = tmp_path / "made by the pickle"

    class Poison:
        def __reduce__(self):
            return Path.touch, (made,)

    with pytest.raises(TrainingError, match="not a dictionary of tensors"):
        read_torch_file(write(tmp_path / "weights.pth", {"x": Poison()}, []))
    assert not made.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(-1, (2,), (1,)), (0, (4, 7), (7, 1)), (0, (2,), (1 << 40,)), (3, (2,), (-1,))]
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, offset, shape, strides):
    storage = Storage("0", np.zeros(24, np.float32))
    state = {"x": Tensor(storage, shape, offset, strides)}
    with pytest.raises(TrainingError, match="beyond its storage"):
        read_torch_file(write_archive(tmp_path / "weights.pth", state, [storage]))


@pytest.mark.parametrize("write", [write_legacy, write_archive])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_a_file_that_is_cut_off_is_refused(tmp_path, write, share):
    path = write(tmp_path / "weights.pth", *tensors())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(TrainingError, match="not a dictionary of tensors"):
        read_torch_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match="does not exist"):
        read_torch_file(tmp_path / "weights.pth")
