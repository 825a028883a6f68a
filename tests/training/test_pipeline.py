"""From a configuration to a run with an encoder in it, and the same run again from the same configuration."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from support.training import encoder_weights, equal
from support.workstation import save_npz

from edge_meta.choices import TRANSDUCTIVE
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import DatasetError, EdgeMetaError, TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train
from edge_meta.training.registry import METHODS
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("quick_conv4")

INPUT = ImageInput(16, 16)


def losses(run: RunFolder) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_a_run_holds_its_configuration_data_curve_and_encoder(config: TrainingConfig, finished: RunFolder) -> None:
    facts = finished.facts()
    assert facts["asked"] == asdict(config)
    for split, classes in (("train", 9), ("val", 3)):
        data = load_dataset(config.dataset, split, INPUT)
        assert facts["made"]["data"][split] == {"classes": classes, "examples": 8 * classes, "sha256": data.digest}
    assert facts["made"]["training_classes"] == 9
    assert ImageInput.from_manifest(facts["made"]["input"]) == INPUT
    encoder = finished.load_encoder()
    assert (encoder.input_shape, encoder.output_shape) == ((None, 16, 16, 1), (None, facts["made"]["dim"]))
    assert facts["made"]["parameters"] == encoder.count_params()
    lines = (finished.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["episode"] for line in lines] == [1, 2, 3]


def test_the_same_configuration_gives_the_same_weights(config: TrainingConfig, finished: RunFolder, tmp_path: Path) -> None:
    assert equal(encoder_weights(train(config, tmp_path / "again")), encoder_weights(finished))
    assert not equal(encoder_weights(train(replace(config, seed=1), tmp_path / "other")), encoder_weights(finished))


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"distill"}))  # which test_distill trains, with a teacher
def test_every_method_trains_and_names_its_batch_norm(config: TrainingConfig, tmp_path: Path, method: str) -> None:
    asked = replace(config, method=method, episodes=2, tasks=2, inner_steps=2)
    run = train(asked, tmp_path / "run")
    made = run.facts()["made"]
    if method in TRANSDUCTIVE:
        assert made["batch_norm"] == "the support set"
        assert made["validation"].endswith("batch-norm statistics of the support set")
    else:
        assert made["batch_norm"] == "support and query examples together"
        assert made["validation"].endswith("frozen batch-norm statistics")
    learned = run.learning_rates()
    assert (learned is not None and len(learned) == 2) == (method == "protoanil")


def test_queries_that_tell_of_each_other_are_reported(config: TrainingConfig, tmp_path: Path) -> None:
    made = train(replace(config, method="fomaml", transductive=True, episodes=1), tmp_path / "run").facts()["made"]
    assert made["batch_norm"] == "the queries"
    assert made["validation"].endswith("batch-norm statistics of the queries")


def test_rotations_are_classes_where_asked_for(config: TrainingConfig, tmp_path: Path) -> None:
    turned = train(replace(config, rotations=True, way=30, episodes=1), tmp_path / "turned").facts()
    assert turned["made"]["training_classes"] == 36
    assert turned["made"]["data"]["train"]["classes"] == 9
    with pytest.raises(DatasetError, match="Way 30 needs 30 classes"):
        train(replace(config, way=30), tmp_path / "upright")


def test_reflections_are_classes_where_they_are_asked_for(config: TrainingConfig, tmp_path: Path) -> None:
    facts = train(replace(config, reflections=True, rotations=True, way=60, episodes=1), tmp_path / "run").facts()
    assert facts["made"]["training_classes"] == 8 * 9
    assert facts["made"]["data"]["train"]["classes"] == 9


def test_episodes_are_of_whole_groups_where_they_are_asked_for(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, ...]] = []
    plain = EpisodeSampler.episode

    def watched(self: EpisodeSampler, index: int) -> Episode:
        episode = plain(self, index)
        if self.dataset.split == "train":
            drawn.append(tuple(sorted({self.dataset.groups[label] for label in episode.classes})))
        return episode

    monkeypatch.setattr(EpisodeSampler, "episode", watched)
    asked = replace(config, rotations=True, way=9, episodes=6)
    train(replace(asked, whole_groups=1.0), tmp_path / "whole")
    assert [len(groups) for groups in drawn] == [1] * 6  # a rotated copy of the nine classes is a group of its own
    assert len(set(drawn)) > 1
    drawn.clear()
    train(asked, tmp_path / "mixed")
    assert min(len(groups) for groups in drawn) > 1


def test_omniglot_is_trained_with_rotations(omniglot: Path, tmp_path: Path) -> None:
    small = TrainingConfig(image_size=16, way=3, query=2, episodes=1)
    assert train(small, tmp_path / "turned").facts()["made"]["training_classes"] == 4 * 817


def test_colours_are_trained_on_when_asked_for(tmp_path: Path) -> None:
    name = save_npz(tmp_path / "own.npz", 10, 6, channels=3)
    run = train(TrainingConfig(name, image_size=16, rgb=True, way=3, query=2, episodes=1), tmp_path / "run")
    assert run.load_encoder().input_shape == (None, 16, 16, 3)
    assert ImageInput.from_manifest(run.facts()["made"]["input"]) == ImageInput.for_shape((16, 16, 3))


def test_the_learning_rate_decays_to_zero_at_the_last_episode(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[keras.optimizers.Adam] = []

    class Watched(keras.optimizers.Adam):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(keras.optimizers, "Adam", Watched)
    rates = []
    train(config, tmp_path / "run", on_progress=lambda progress: rates.append(float(made[0].learning_rate)))
    assert np.array(rates) / config.learning_rate == pytest.approx([0.75, 0.25, 0.0], abs=1e-6)  # (1 + cos(π·i/3)) / 2


@pytest.mark.parametrize("encoder", ["conv4", "resnet7"])
def test_bfloat16_keeps_a_float32_encoder(config: TrainingConfig, tmp_path: Path, encoder: str) -> None:
    asked = replace(config, encoder=encoder)
    full, half = (train(replace(asked, precision=name), tmp_path / name) for name in ("float32", "bfloat16"))
    assert losses(half)[0] == pytest.approx(losses(full)[0], rel=0.1, abs=0.01)
    assert losses(half)[0] != losses(full)[0], "it was not trained in another precision"
    saved = half.load_encoder()
    assert {layer.dtype_policy.name for layer in saved.layers} == {"float32"}
    assert {variable.dtype for variable in saved.variables} == {"float32"}
    images = np.random.default_rng(0).random((3, 16, 16, 1)).astype(np.float32)
    embeddings = saved(images, training=False).numpy()
    assert embeddings.dtype == np.float32
    assert np.ptp(embeddings, axis=0).max() > 0


def test_with_xla_the_losses_are_those_without(config: TrainingConfig, tmp_path: Path) -> None:
    asked = replace(config, encoder="resnet7", learning_rate=1e-4)
    plain, compiled = (losses(train(replace(asked, xla=xla), tmp_path / str(xla))) for xla in (False, True))
    assert len(plain) == 3
    np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-4)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [2, 4])
def test_tasks_that_do_not_fill_steps_are_refused(config: TrainingConfig, tmp_path: Path, tasks: int) -> None:
    with pytest.raises(TrainingError, match=f"3 episodes are not a multiple of {tasks} tasks a step"):
        train(replace(config, tasks=tasks, episodes=3), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_xla_is_refused_on_several_devices(config: TrainingConfig, tmp_path: Path) -> None:
    two_devices = SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(TrainingError, match=r"XLA compiles the step of a single device\. Leave --xla out"):
        train(replace(config, xla=True, tasks=2, episodes=4), tmp_path / "run", strategy=two_devices)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_run_over(config: TrainingConfig, finished: RunFolder) -> None:
    before = encoder_weights(finished)
    with pytest.raises(TrainingError, match="already holds a run"):
        train(replace(config, seed=1), finished.path)
    assert equal(encoder_weights(finished), before)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"way": 1}, "way 1"),
        ({"way": 10}, "Way 10 needs 10 classes"),
        ({"shot": 0}, "shot 0"),
        ({"shot": 7}, "shot 7"),
        ({"query": -1}, "query -1"),
        ({"dataset": "nonsense"}, "There is no dataset 'nonsense'"),
        ({"dataset": "npz:missing.npz"}, "does not exist"),
    ],
)
def test_episodes_that_the_data_lacks_make_no_folder(
    config: TrainingConfig, tmp_path: Path, settings: dict, error: str
) -> None:
    with pytest.raises(EdgeMetaError, match=error):
        train(replace(config, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_data_to_validate_on_is_refused(tmp_path: Path) -> None:
    few = TrainingConfig(save_npz(tmp_path / "own.npz", 6, 8), image_size=16, way=3, query=2, episodes=1)
    with pytest.raises(DatasetError, match="4 classes to train on and 1 to validate on"):
        train(few, tmp_path / "run")
