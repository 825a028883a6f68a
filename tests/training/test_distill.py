"""Distillation: the target, the start of the last layer, training and resuming."""

import json
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.training import equal, small_config
from support.workstation import SIZE, synthetic

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training import ENCODERS, Distill
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train
from edge_meta.training.run import RunFolder
from edge_meta.training.teachers import Teacher, load_teacher
from edge_meta.training.unit_length import UnitLength

DIM = 4
SPEC = ImageInput.for_shape((SIZE, SIZE, 1))


def network(dim, seed, unit=False):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, 2, activation="relu")(inputs))
    x = keras.layers.Dense(dim, name="projection")(x)
    return keras.Model(inputs, UnitLength(name="embedding")(x) if unit else x)


def learner(*teachers, seed=3):
    made = Distill(network(DIM, seed, unit=True), SPEC, teachers or (Teacher(network(5, 1), SPEC),))
    made.compile(keras.optimizers.Adam(0.01))
    return made


def target(made, images):
    """The teachers' values, centred and scaled, in their principal components."""
    values = np.concatenate([teacher.embed(images.astype(np.float32)).numpy() for teacher in made.teachers], axis=1)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    return (left * singular)[:, :DIM]


def test_the_last_layer_starts_as_the_least_squares_fit():
    data, made = synthetic(10, 10), learner()
    made.prepare(data)
    pooled = keras.Model(made.encoder.input, made.encoder.get_layer("projection").input)
    features = np.c_[pooled(SPEC.normalize(data.examples)).numpy(), np.ones(100)]
    fitted = features @ np.linalg.lstsq(features, target(made, data.examples), rcond=None)[0]
    fitted /= np.linalg.norm(fitted, axis=1, keepdims=True)

    # A principal component may have either sign, so compare what signs do not change.
    ours = made.embed(data.examples)
    np.testing.assert_allclose(ours @ ours.T, fitted @ fitted.T, atol=0.05)


def test_training_brings_embeddings_nearer_to_the_target():
    data, made = synthetic(10, 10), learner(Teacher(network(5, 1), SPEC), Teacher(network(3, 2), SPEC))
    made.prepare(data)
    history = made.fit(EpisodeSampler(data, 5, 2, 2), episodes=60, validations=3)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[-1]["accuracy"] == pytest.approx(1 - history[-1]["loss"], abs=1e-5)  # the mean cosine


def test_targets_asked_once_teach_as_a_teacher_at_each_step():
    data, made = synthetic(10, 10), learner()
    made.prepare(data)
    examples = np.array([[[[3], [47]]], [[[90], [12]]]])  # support and query of one task, two classes
    support, query = (SPEC.normalize(data.examples[of]) for of in examples)
    targets = made.targets_of(data).numpy()
    classes = np.array([[0, 1]])
    asked = made.gradients(support, query, classes)
    kept = made.gradients(support, query, classes, *(targets[of] for of in examples))
    np.testing.assert_allclose(asked[0], kept[0], rtol=1e-5)
    for ours, theirs in zip(kept[2], asked[2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_a_teacher_sees_images_of_its_own_size():
    larger = Teacher(network(5, 1), ImageInput(SIZE, SIZE, 1, mean=10.0, scale=0.5))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 2 * SIZE, 2 * SIZE, 1)).astype(np.float32)
    halved = pixels.reshape(2, SIZE, 2, SIZE, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(larger.embed(pixels), larger.network((halved - 10) * 0.5), rtol=1e-4, atol=1e-4)


def test_a_teacher_of_other_colours_is_refused():
    with pytest.raises(TrainingError, match="--rgb"):
        Distill(network(DIM, 0, unit=True), ImageInput.for_shape((SIZE, SIZE, 3)), [Teacher(network(5, 1), SPEC)])


@pytest.mark.parametrize(("method", "teachers"), [("distill", ()), ("protonet", ("runs/other",))])
def test_distill_takes_teachers_and_others_do_not(method, teachers):
    with pytest.raises(TrainingError, match="--teacher"):
        TrainingConfig(method=method, teachers=teachers)


def test_an_encoder_that_ends_otherwise_is_refused():
    with pytest.raises(TrainingError, match="photo12"):
        Distill(network(DIM, 0), SPEC, [Teacher(network(5, 1), SPEC)])


def test_teachers_of_too_few_values_are_refused():
    with pytest.raises(TrainingError, match="fewer than the embedding's 4"):
        Distill(network(DIM, 0, unit=True), SPEC, [Teacher(network(3, 1), SPEC)])


def test_too_few_images_are_refused():
    with pytest.raises(TrainingError, match="3 training images"):
        learner().prepare(synthetic(1, 3))


def test_a_folder_without_a_run_is_no_teacher(tmp_path):
    with pytest.raises(TrainingError, match="holds no run"):
        load_teacher(tmp_path, 64)


def test_a_run_teaches_another_that_resumes_as_if_never_stopped(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "conv4", lambda shape: network(DIM, 5, unit=True))
    config = small_config(tmp_path)
    teacher = train(config, tmp_path / "teacher")
    config = replace(config, method="distill", teachers=(str(teacher.path),), episodes=6)
    whole = train(config, tmp_path / "whole")

    def stop(progress):
        if progress.episode == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingError, match="--resume"):
        train(config, tmp_path / "halted", on_progress=stop)
    asked = json.loads((tmp_path / "halted" / "run.json").read_text())["asked"]
    halted = train(TrainingConfig(**asked), tmp_path / "halted", resume=True)

    assert equal(whole.load_encoder().get_weights(), RunFolder(halted.path).load_encoder().get_weights())


def test_a_run_without_a_checkpoint_starts_as_a_new_one(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "conv4", lambda shape: network(DIM, 5, unit=True))
    config = small_config(tmp_path)
    teacher = train(config, tmp_path / "teacher")
    config = replace(config, method="distill", teachers=(str(teacher.path),))
    whole = train(config, tmp_path / "whole")
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "run.json").write_bytes((whole.path / "run.json").read_bytes())

    resumed = train(config, killed, resume=True)

    assert equal(whole.load_encoder().get_weights(), resumed.load_encoder().get_weights())
