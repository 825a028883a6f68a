"""WebDataset shards: splits, class names, bounded memory and damaged files."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import DatasetError, InputError
from edge_meta.inputs import AudioInput, ImageInput
from edge_meta.inputs.png import write_png

SPEC = ImageInput.for_shape((16, 16, 1))


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_shard(path: Path, labels: list[str], first: int = 0) -> None:
    """A shard of a sample for each label, whose grey tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, label in enumerate(labels, first):
            add(tar, f"{number:06}.png", write_png(np.full((20, 20, 1), number % 256, np.uint8)))
            add(tar, f"{number:06}.cls", label.encode())


def test_examples_of_all_shards_lie_by_class(tmp_path: Path) -> None:
    write_shard(tmp_path / "own" / "a.tar", ["b", "a", "b"])
    write_shard(tmp_path / "own" / "b.tar", ["a", "b"], first=3)
    data = load_dataset(f"shards:{tmp_path / 'own'}", "all", SPEC)
    assert (data.class_names, data.labels.tolist()) == (("a", "b"), [0, 0, 1, 1, 1])
    assert data.examples[:, 0, 0, 0].tolist() == [1, 3, 0, 2, 4]
    assert data.examples.shape == (5, 16, 16, 1)


def test_classes_are_dealt_to_splits(tmp_path: Path) -> None:
    write_shard(tmp_path / "own.tar", [str(number % 10) for number in range(40)])
    parts = [load_dataset(f"shards:{tmp_path / 'own.tar'}", split, SPEC) for split in ("train", "val", "test")]
    assert [len(part.class_names) for part in parts] == [6, 2, 2]
    assert len({name for part in parts for name in part.class_names}) == 10


def test_names_of_shards_tell_the_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_shard(tmp_path / "own" / f"{split}-000.tar", [f"{split} {number % 2}" for number in range(6)])
    assert load_dataset(f"shards:{tmp_path / 'own'}", "val", SPEC).class_names == ("val 0", "val 1")
    with pytest.raises(DatasetError, match=r"no shards for test. Name them test-000\.tar"):
        load_dataset(f"shards:{tmp_path / 'own'}", "test", SPEC)


def test_a_file_names_the_classes(tmp_path: Path) -> None:
    write_shard(tmp_path / "own" / "a.tar", ["1", "0"])
    (tmp_path / "own" / "classes.txt").write_text("alef\nbet\n")
    assert load_dataset(f"shards:{tmp_path / 'own'}", "all", SPEC).class_names == ("alef", "bet")
    (tmp_path / "own" / "classes.txt").write_text("alef\n")
    with pytest.raises(DatasetError, match=r"is of class '1', which classes\.txt does not name"):
        load_dataset(f"shards:{tmp_path / 'own'}", "all", SPEC)


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    write_shard(tmp_path / "own.tar", [str(number % 20) for number in range(4000)])
    large = ImageInput.for_shape((64, 64, 3))
    load_dataset(f"shards:{tmp_path / 'own.tar'}", "all", SPEC)
    tracemalloc.start()
    data = load_dataset(f"shards:{tmp_path / 'own.tar'}", "all", large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.examples.nbytes > 49_000_000
    assert peak < 3_000_000


def test_nothing_is_left_in_the_data_folder(tmp_path: Path, data_folder: Path) -> None:
    write_shard(tmp_path / "own.tar", ["a", "b"])
    data = load_dataset(f"shards:{tmp_path / 'own.tar'}", "all", SPEC)
    assert list(data_folder.iterdir()) == []
    assert data.examples[1, 0, 0, 0] == 1


def test_a_step_trains_on_shards_as_on_arrays(tmp_path: Path) -> None:
    from support.training import one_block, weights

    from edge_meta.training import ProtoNet

    write_shard(tmp_path / "own.tar", [str(number % 6) for number in range(48)])
    mapped = load_dataset(f"shards:{tmp_path / 'own.tar'}", "all", SPEC)
    in_memory = type(mapped)(**{**vars(mapped), "examples": np.array(mapped.examples)})
    learned = []
    for data in (mapped, in_memory):
        import keras

        keras.utils.set_random_seed(0)
        learner = ProtoNet(one_block())
        learner.compile()
        learner.fit(EpisodeSampler(data, 3, 1, 2), 3)
        learned.append(weights(learner))
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(*learned, strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no tar", "is not a readable shard"), (None, "has no image or no .cls")],
)
def test_a_damaged_shard_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    shard = tmp_path / "own.tar"
    if content is None:
        with tarfile.open(shard, "w") as tar:
            add(tar, "1.cls", b"a")
    else:
        shard.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset(f"shards:{shard}", "all", SPEC)


def test_a_damaged_image_is_an_input_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "own.tar", "w") as tar:
        add(tar, "1.png", b"no png")
        add(tar, "1.cls", b"a")
    with pytest.raises(InputError, match=r"own\.tar"):
        load_dataset(f"shards:{tmp_path / 'own.tar'}", "all", SPEC)


def test_no_shards_and_other_inputs_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no \.tar files"):
        load_dataset(f"shards:{tmp_path}", "all", SPEC)
    with pytest.raises(DatasetError, match="holds images; this encoder takes recordings"):
        load_dataset(f"shards:{tmp_path}", "all", AudioInput(16000, 16000))
