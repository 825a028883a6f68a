"""Recipes: from a dataset's name to a run with an encoder in it, and the same run again from the same config."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from support.workstation import save_npz

from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import DatasetError, EdgeMetaError, TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training import ANIL, MAML, NCA, AdaptingMethod, Method, ProtoNet, Reptile, Supervised, devices
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train
from edge_meta.training.registry import METHODS
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("small_conv4")

INPUT = ImageInput(16, 16)


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    """Three episodes on an .npz of 15 classes, 9 of which train and 3 validate."""
    return TrainingConfig(save_npz(tmp_path / "own.npz", 15, 8), image_size=16, way=3, query=2, episodes=3)


def weights(run: RunFolder) -> list[np.ndarray]:
    return run.load_encoder().get_weights()


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_holds_its_recipe_data_curve_and_encoder(config: TrainingConfig, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run")
    facts = run.facts()
    assert facts["asked"] == asdict(config)
    for split, classes in (("train", 9), ("val", 3)):
        data = load_dataset(config.dataset, split, INPUT)
        assert facts["made"]["data"][split] == {"classes": classes, "examples": 8 * classes, "sha256": data.digest}
    assert facts["made"]["training_classes"] == 9
    assert ImageInput.from_manifest(facts["made"]["input"]) == INPUT
    encoder = run.load_encoder()
    assert (encoder.input_shape, encoder.output_shape) == ((None, 16, 16, 1), (None, facts["made"]["dim"]))
    assert facts["made"]["parameters"] == encoder.count_params()
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["episode"] for line in lines] == [1, 2, 3]


def test_the_same_configuration_gives_the_same_weights(config: TrainingConfig, tmp_path: Path) -> None:
    one, again, other = (
        weights(train(asked, tmp_path / name))
        for name, asked in (("one", config), ("again", config), ("other", replace(config, seed=1)))
    )
    assert same(one, again)
    assert not same(one, other)


def test_rotations_are_classes_where_asked_for(config: TrainingConfig, tmp_path: Path) -> None:
    turned = train(replace(config, rotations=True, way=30), tmp_path / "turned").facts()
    assert turned["made"]["training_classes"] == 36
    assert turned["made"]["data"]["train"]["classes"] == 9
    with pytest.raises(DatasetError, match="Way 30 needs 30 classes"):
        train(replace(config, way=30), tmp_path / "upright")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_with_its_own_settings(
    config: TrainingConfig, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Method] = []
    plain = METHODS[method]
    monkeypatch.setitem(METHODS, method, lambda *arguments: made.append(plain(*arguments)) or made[-1])
    asked = replace(config, method=method, episodes=2, tasks=2, inner_steps=2, inner_learning_rate=0.03)
    facts = train(asked, tmp_path / "run").facts()
    (learner,) = made
    family = {
        "protonet": ProtoNet, "nca": NCA, "maml": MAML, "fomaml": MAML, "protomaml": MAML, "anil": ANIL, "protoanil": ANIL,
        "reptile": Reptile, "supervised": Supervised,
    }  # fmt: skip
    assert type(learner) is family[method]
    if isinstance(learner, AdaptingMethod):
        assert learner.way == (None if method.startswith("proto") else 3)
        assert learner.steps == 2
        # Learned rates have moved by now, by little.
        assert learner.rates.at(0)[0].numpy() == pytest.approx(0.03, rel=0.3)
        assert bool(learner.rates.trainable_variables) is method.startswith("proto")
    if isinstance(learner, MAML):
        assert learner.first_order is (method in ("fomaml", "reptile"))
        assert facts["made"]["batch_norm"] == "the support set"
        assert facts["made"]["validation"].endswith("batch-norm statistics of the support set")
    else:
        assert facts["made"]["batch_norm"] == "support and query examples together"
        assert facts["made"]["validation"].endswith("frozen batch-norm statistics")
    learned = RunFolder(tmp_path / "run").learning_rates()
    assert (learned is not None and len(learned) == 2) == (method == "protoanil")


def test_queries_that_tell_of_each_other_are_reported(config: TrainingConfig, tmp_path: Path) -> None:
    made = train(replace(config, method="fomaml", transductive=True, episodes=1), tmp_path / "run").facts()["made"]
    assert made["batch_norm"] == "the queries"
    assert made["validation"].endswith("batch-norm statistics of the queries")


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


def losses(run: RunFolder) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]


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


@pytest.mark.parametrize("tasks", [2, 4])
def test_tasks_that_do_not_fill_steps_are_refused(config: TrainingConfig, tmp_path: Path, tasks: int) -> None:
    with pytest.raises(TrainingError, match=f"3 episodes are not a multiple of {tasks} tasks a step"):
        train(replace(config, tasks=tasks, episodes=3), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_xla_is_refused_on_several_devices(config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(TrainingError, match=r"XLA compiles the step of a single device\. Leave --xla out"):
        train(replace(config, xla=True, tasks=2, episodes=4), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- resuming and refusing --------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_run_over(config: TrainingConfig, tmp_path: Path) -> None:
    before = weights(train(config, tmp_path / "run"))
    with pytest.raises(TrainingError, match="already holds a run"):
        train(replace(config, seed=1), tmp_path / "run")
    assert same(weights(RunFolder(tmp_path / "run")), before)


def test_an_interrupted_run_resumes_to_the_same_weights(config: TrainingConfig, tmp_path: Path) -> None:
    straight = weights(train(config, tmp_path / "straight"))
    with pytest.raises(TrainingError, match="Stopped at episode 2"):
        train(config, tmp_path / "run", on_progress=lambda progress: signal.raise_signal(signal.SIGINT))
    resumed = train(config, tmp_path / "run", resume=True)
    with np.load(tmp_path / "straight" / "checkpoint.npz") as one, np.load(resumed.path / "checkpoint.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files if name != "history")
    assert same(weights(resumed), straight)


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
        train(config, tmp_path / "run", on_progress=lambda progress: signal.raise_signal(signal.SIGINT))
    path = tmp_path / "run" / "run.json"
    facts = json.loads(path.read_text())
    for name in ("precision", "xla"):
        del facts["asked"][name]
    path.write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match=r"was started with another precision\. "):
        train(replace(config, precision="bfloat16"), tmp_path / "run", resume=True)
    train(config, tmp_path / "run", resume=True)


def test_resuming_on_data_that_has_changed_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "run")
    save_npz(tmp_path / "own.npz", 15, 8, seed=9)
    with pytest.raises(EdgeMetaError, match=r"own\.npz"):
        train(config, tmp_path / "run", resume=True)


def test_there_must_be_a_run_to_resume(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no run"):
        train(config, tmp_path / "missing", resume=True)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"episodes": 0}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": 0.0}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": float("nan")}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": float("inf")}, "Episodes and learning rate must be above zero"),
        ({"image_size": 15}, "Images of 15 pixels are too small"),
        ({"way": 1}, "way 1"),
        ({"way": 10}, "Way 10 needs 10 classes"),
        ({"shot": 0}, "shot 0"),
        ({"shot": 7}, "shot 7"),
        ({"query": -1}, "query -1"),
        ({"seed": -1}, "-1"),
        ({"seed": 2**32}, "4294967296"),
        ({"dataset": "nonsense"}, "There is no dataset 'nonsense'"),
        ({"dataset": "npz:missing.npz"}, "does not exist"),
        ({"method": "nonsense"}, "nonsense"),
        ({"encoder": "nonsense"}, "nonsense"),
        ({"precision": "float16"}, "There is no 'float16'. Use one of float32, bfloat16"),
        ({"inner_learning_rate": 0.0}, "inner loop's learning rate must be above zero"),
        ({"inner_learning_rate": float("nan")}, "inner loop's learning rate must be above zero"),
        ({"transductive": True}, "protonet does not judge queries .* use maml, fomaml, protomaml, reptile"),
        ({"transductive": True, "method": "anil"}, "anil does not judge queries"),
        ({"whole_groups": -0.1}, r"A share of -0\.1 is not possible\. Use a number from 0 to 1"),
        ({"whole_groups": 1.01}, "A share of 1.01 is not possible"),
        ({"whole_groups": float("nan")}, "A share of nan is not possible"),
    ],
)
def test_impossible_settings_make_no_folder(config: TrainingConfig, tmp_path: Path, settings: dict, error: str) -> None:
    with pytest.raises(EdgeMetaError, match=error):
        train(replace(config, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_data_to_validate_on_is_refused(tmp_path: Path) -> None:
    few = TrainingConfig(save_npz(tmp_path / "own.npz", 6, 8), image_size=16, way=3, query=2, episodes=1)
    with pytest.raises(DatasetError, match="val split of npz:"):
        train(few, tmp_path / "run")


def test_a_run_can_start_from_the_encoder_of_another(config: TrainingConfig, tmp_path: Path) -> None:
    first = train(config, tmp_path / "first")
    still = replace(config, start=str(first.path), episodes=1, learning_rate=1e-12)
    second = train(still, tmp_path / "second")
    for before, after in zip(first.load_encoder().trainable_weights, second.load_encoder().trainable_weights, strict=True):
        np.testing.assert_allclose(before.numpy(), after.numpy(), atol=1e-6)


def test_a_begun_run_resumes_without_its_start(config: TrainingConfig, tmp_path: Path) -> None:
    first = train(config, tmp_path / "first")
    second = replace(config, start=str(first.path), seed=1)
    with pytest.raises(TrainingError, match="Stopped at episode 2"):
        train(second, tmp_path / "run", on_progress=lambda progress: signal.raise_signal(signal.SIGINT))
    shutil.rmtree(first.path)
    assert RunFolder(tmp_path / "run").curve()
    resumed = train(second, tmp_path / "run", resume=True)
    assert [row["episode"] for row in resumed.curve()] == [1, 2, 3]
    (tmp_path / "run" / "checkpoint.npz").unlink()
    with pytest.raises(TrainingError, match="first holds no run"):
        train(second, tmp_path / "run", resume=True)


def test_a_lost_curve_is_written_again_from_the_checkpoint(config: TrainingConfig, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run")
    before = (run.path / "metrics.jsonl").read_bytes()
    (run.path / "metrics.jsonl").unlink()
    train(config, tmp_path / "run", resume=True)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_start_of_another_shape_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    first = train(config, tmp_path / "first")
    colours = save_npz(tmp_path / "colours.npz", 15, 8, channels=3)
    other = replace(config, dataset=colours, start=str(first.path), rgb=True)
    with pytest.raises(TrainingError, match="has other layers"):
        train(other, tmp_path / "second")
