"""A run's folder: what it says of how it was made, its curve, its encoder, and how it refuses what it cannot take."""

from __future__ import annotations

import json
import platform
import random
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.run import RunFolder

MADE = {"input": ImageInput().to_manifest(), "dim": 8, "data": {}, "validation": "20-way"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs" / "new", {"dataset": "glyphs", "way": 5}, MADE)


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """(name, step) -> value of every scalar in TensorBoard's event files."""
    found = {}
    for file in folder.glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_run_json_has_request_result_and_versions(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    assert facts == run.facts()
    assert facts["asked"] == {"dataset": "glyphs", "way": 5}
    assert facts["made"] == MADE
    assert facts["versions"] == {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
    assert facts["host"]["platform"] == platform.platform()
    assert facts["host"]["cores"] >= 1
    assert facts["command"]


def test_a_second_run_in_a_folder_is_refused(run: RunFolder) -> None:
    with pytest.raises(TrainingError, match=r"new already holds a run\. .*--resume"):
        RunFolder.create(run.path, {"way": 20}, MADE)
    assert run.facts()["asked"]["way"] == 5


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(TrainingError, match=r"cannot be written .*--output"):
            RunFolder.create(path, {}, MADE)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no run \(run\.json is missing\)"):
        RunFolder(tmp_path).facts()
    with pytest.raises(TrainingError, match="holds no run"):
        RunFolder(tmp_path / "missing").facts()


def test_a_checkpoint_writes_the_curve_for_tensorboard(run: RunFolder) -> None:
    history = [
        {"episode": 4, "loss": 1.5, "val_accuracy": 0.5, "val_ci95": 0.01},
        {"episode": 8, "loss": 0.75, "val_accuracy": 0.625, "val_ci95": 0.01},
    ]
    variable = keras.Variable(np.arange(3.0))
    for upto in (1, 2):
        run.checkpoint([variable], history[:upto])
    assert [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()] == history
    found = scalars(run.path / "tensorboard")
    assert found["val_accuracy", 4] == 0.5
    assert found["val_accuracy", 8] == 0.625
    assert found["loss", 8] == 0.75


def test_the_encoder_is_the_best_row_of_the_curve(run: RunFolder) -> None:
    assert run.curve() == []
    assert run.best() is None
    history = [
        {"episode": 4, "loss": 1.5, "val_accuracy": 0.5},
        {"episode": 8, "loss": 0.75, "val_accuracy": 0.625},
        {"episode": 10, "loss": 0.5},
        {"episode": 12, "loss": 0.25, "val_accuracy": 0.6},
    ]
    run.checkpoint([keras.Variable(0.0)], history)
    assert run.curve() == [history[0], history[1], history[3]]
    assert run.best() == history[1]


def test_a_curve_of_no_judgement_has_no_best(run: RunFolder) -> None:
    run.checkpoint([keras.Variable(0.0)], [{"episode": 4, "loss": 1.5}])
    assert run.curve() == []
    assert run.best() is None


@pytest.mark.parametrize("content", ["{", "3", '{"episode": 4, "val_accuracy": 0.5}\n{', "\0"])
def test_a_damaged_curve_is_refused_and_named(run: RunFolder, content: str) -> None:
    (run.path / "metrics.jsonl").write_text(content)
    with pytest.raises(TrainingError, match=r"metrics\.jsonl is damaged .*--resume writes it again"):
        run.curve()


@pytest.mark.parametrize("key", ["command", "host", "versions", "made.validation", "made.data", "asked.dataset"])
def test_a_run_json_without_what_an_export_tells_is_damaged(run: RunFolder, key: str) -> None:
    facts = run.facts()
    *outer, last = key.split(".")
    del (facts[outer[0]] if outer else facts)[last]
    (run.path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match=rf"run\.json is damaged \('{last}'\)"):
        run.facts()


def test_a_checkpoint_restores_every_variable_and_the_curve(run: RunFolder) -> None:
    saved = [keras.Variable(np.arange(6.0).reshape(2, 3)), keras.Variable(7, dtype="int64")]
    assert run.restore(saved) == []
    history = [{"episode": 1, "loss": 0.1 + 0.2}]
    run.checkpoint(saved, history)
    fresh = [keras.Variable(np.zeros((2, 3))), keras.Variable(0, dtype="int64")]
    assert run.restore(fresh) == history
    assert np.array_equal(fresh[0].numpy(), np.arange(6.0).reshape(2, 3))
    assert int(fresh[1].numpy()) == 7


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", "\0", '{"made": {}}', '{"asked": {}, "made": {"input": 0}}', '{"asked": 3, "made": MADE}'],
)  # fmt: skip
def test_a_damaged_run_json_is_refused_and_named(run: RunFolder, content: str) -> None:
    (run.path / "run.json").write_text(content.replace("MADE", json.dumps(MADE)))
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        run.facts()


def test_bytes_that_are_no_text_are_a_damaged_run_json(run: RunFolder) -> None:
    (run.path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        run.facts()


# --- the encoder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def encoder() -> keras.Model:
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


def test_an_encoder_comes_back_as_it_was_saved(run: RunFolder, encoder: keras.Model) -> None:
    run.save_encoder(encoder)
    images = np.random.default_rng(0).random((5, 4, 4, 1)).astype(np.float32)
    assert np.array_equal(run.load_encoder()(images), encoder(images))
    assert sorted(path.name for path in run.path.iterdir()) == ["encoder.keras", "run.json"]


def test_a_broken_save_keeps_the_encoder_before(
    run: RunFolder, encoder: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save_encoder(encoder)
    before = run.encoder.read_bytes()

    def torn(self: keras.Model, path: str, **options: object) -> None:
        Path(path).write_bytes(b"PK half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", torn)
    with pytest.raises(KeyboardInterrupt):
        run.save_encoder(encoder)
    assert run.encoder.read_bytes() == before
    assert sorted(path.name for path in run.path.iterdir()) == ["encoder.keras", "run.json"]


def test_a_missing_encoder_is_a_clear_error(run: RunFolder) -> None:
    with pytest.raises(TrainingError, match=r"encoder\.keras is not an encoder that can be read"):
        run.load_encoder()


def test_no_damage_to_an_encoder_is_more_than_a_clear_error(run: RunFolder, encoder: keras.Model) -> None:
    run.save_encoder(encoder)
    sound = run.encoder.read_bytes()
    rng = random.Random(0)
    refused = 0
    for turn in range(60):
        damaged = bytearray(sound[: rng.randrange(len(sound))] if turn % 3 == 0 else sound)
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        run.encoder.write_bytes(damaged)
        try:
            run.load_encoder()
        except TrainingError:
            refused += 1
    assert refused > 30
