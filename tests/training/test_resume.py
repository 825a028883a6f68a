"""Runs that go on: from their own checkpoint, or from the encoder of another run."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from support.training import encoder_weights, equal
from support.workstation import save_npz

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("quick_conv4")

INPUT = ImageInput(16, 16)


def interrupt(progress: Progress) -> None:
    """Ask a run to stop after its next step."""
    signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_resumes_to_the_same_weights(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Stopped at episode 2"):
        train(config, tmp_path / "run", on_progress=interrupt)
    resumed = train(config, tmp_path / "run", resume=True)
    with np.load(finished.path / "checkpoint.npz") as one, np.load(resumed.path / "checkpoint.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files if name != "history")
    assert equal(encoder_weights(resumed), encoder_weights(finished))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed", 1),
        ("learning_rate", 0.5),
        ("way", 2),
        ("episodes", 4),
        ("rotations", True),
        ("precision", "bfloat16"),
        ("xla", True),
    ],
)
def test_resuming_names_a_setting_that_differs(config: TrainingConfig, tmp_path: Path, setting: str, value: object) -> None:
    RunFolder.create(tmp_path / "run", asdict(config), {"input": INPUT.to_manifest(), "data": {}, "validation": ""})
    with pytest.raises(TrainingError, match=rf"was started with another {setting}\. "):
        train(replace(config, **{setting: value}), tmp_path / "run", resume=True)


def test_a_run_older_than_precisions_goes_on_in_float32(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Stopped at episode 2"):
        train(config, tmp_path / "run", on_progress=interrupt)
    path = tmp_path / "run" / "run.json"
    facts = json.loads(path.read_text())
    for name in ("precision", "xla"):
        del facts["asked"][name]
    path.write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match=r"was started with another precision\. "):
        train(replace(config, precision="bfloat16"), tmp_path / "run", resume=True)
    train(config, tmp_path / "run", resume=True)


def test_resuming_on_data_that_has_changed_is_refused(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    same_data = replace(config, dataset=save_npz(tmp_path / "own.npz", 15, 8))
    run = RunFolder.create(tmp_path / "run", asdict(same_data), finished.facts()["made"])
    save_npz(tmp_path / "own.npz", 15, 8, seed=9)
    with pytest.raises(TrainingError, match=r"own\.npz is not what it was when .* was started"):
        train(same_data, run.path, resume=True)


def test_there_must_be_a_run_to_resume(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no run"):
        train(config, tmp_path / "missing", resume=True)


def test_a_lost_curve_is_written_again_from_the_checkpoint(
    config: TrainingConfig, finished: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(shutil.copytree(finished.path, tmp_path / "run"))
    before = (run.path / "metrics.jsonl").read_bytes()
    (run.path / "metrics.jsonl").unlink()
    train(config, run.path, resume=True)
    assert (run.path / "metrics.jsonl").read_bytes() == before


# --- starting from another run ----------------------------------------------------------------------------------------


def test_a_run_can_start_from_the_encoder_of_another(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    still = replace(config, start=str(finished.path), episodes=1, learning_rate=1e-12)
    second = train(still, tmp_path / "second")
    pairs = zip(finished.load_encoder().trainable_weights, second.load_encoder().trainable_weights, strict=True)
    for before, after in pairs:
        np.testing.assert_allclose(before.numpy(), after.numpy(), atol=1e-6)


def test_a_begun_run_resumes_without_its_start(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    first = Path(shutil.copytree(finished.path, tmp_path / "first"))
    second = replace(config, start=str(first), seed=1)
    with pytest.raises(TrainingError, match="Stopped at episode 2"):
        train(second, tmp_path / "run", on_progress=interrupt)
    shutil.rmtree(first)
    assert RunFolder(tmp_path / "run").curve()
    resumed = train(second, tmp_path / "run", resume=True)
    assert [row["episode"] for row in resumed.curve()] == [1, 2, 3]
    (tmp_path / "run" / "checkpoint.npz").unlink()
    with pytest.raises(TrainingError, match="first holds no run"):
        train(second, tmp_path / "run", resume=True)


def test_a_start_of_another_shape_is_refused(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    colours = save_npz(tmp_path / "colours.npz", 15, 8, channels=3)
    other = replace(config, dataset=colours, start=str(finished.path), rgb=True)
    with pytest.raises(TrainingError, match="has other layers"):
        train(other, tmp_path / "second")
