"""Keras's habits: fit with epochs and callbacks, evaluate, predict, save and summary."""

from __future__ import annotations

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
from support.training import equal, new_learner, one_block, seeded_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import MAML, ProtoNet, Trainer

pytestmark = pytest.mark.usefixtures("op_determinism")


def new_trainer(seed: int = 0) -> Trainer:
    trainer = Trainer(ProtoNet(seeded_encoder(seed)))
    trainer.compile(keras.optimizers.Adam(0.01))
    return trainer


def test_fit_returns_a_history_of_each_epoch(train: EpisodeSampler, val: EpisodeSampler) -> None:
    trainer = new_trainer()
    history = trainer.fit(train, epochs=3, steps_per_epoch=4, validation_data=val, validation_steps=20, verbose=0)
    assert isinstance(history, keras.callbacks.History)
    assert history.epoch == [0, 1, 2]
    assert set(history.history) == {"loss", "accuracy", "val_accuracy", "val_ci95"}
    assert {len(values) for values in history.history.values()} == {3}
    assert history.history["val_accuracy"][-1] == trainer.evaluate(val, 20)["accuracy"]


def test_fit_takes_the_steps_of_a_method(train: EpisodeSampler) -> None:
    learner = new_learner()
    learner.compile(keras.optimizers.Adam(0.01))
    learner.fit(train, 6)
    trainer = new_trainer()
    trainer.fit(train, epochs=3, steps_per_epoch=2, verbose=0)
    assert equal(trainer.encoder.get_weights(), learner.encoder.get_weights())


def test_early_stopping_ends_the_run_and_restores(train: EpisodeSampler, val: EpisodeSampler) -> None:
    trainer = Trainer(ProtoNet(seeded_encoder()))
    trainer.compile(keras.optimizers.SGD(0.0))
    early = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=1, restore_best_weights=True, min_delta=1.0)
    history = trainer.fit(train, 9, 2, val, 10, callbacks=[early], verbose=0)
    assert len(history.epoch) == 2


def test_tensorboard_writes_the_curve(train: EpisodeSampler, val: EpisodeSampler, tmp_path: Path) -> None:
    board = keras.callbacks.TensorBoard(tmp_path / "board", histogram_freq=1, update_freq="batch")
    new_trainer().fit(train, 2, 2, val, 10, callbacks=[board], verbose=0)
    assert list((tmp_path / "board" / "train").glob("events*"))
    assert list((tmp_path / "board" / "validation").glob("events*"))


def test_a_schedule_and_a_checkpoint_of_keras_work(train: EpisodeSampler, tmp_path: Path) -> None:
    trainer = new_trainer()
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch)),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True),
    ]
    history = trainer.fit(train, 2, 2, callbacks=callbacks, verbose=0)
    assert history.history["learning_rate"] == pytest.approx([0.01, 0.005])
    other = new_trainer(seed=1)
    other.load_weights(tmp_path / "best.weights.h5")
    assert equal(other.encoder.get_weights(), trainer.encoder.get_weights())


def test_verbose_2_prints_a_line_an_epoch(train: EpisodeSampler, capsys: pytest.CaptureFixture[str]) -> None:
    new_trainer().fit(train, 2, 2, verbose=2)
    assert capsys.readouterr().out.count("loss: ") == 2


def test_epochs_are_logged_on_one_logger(train: EpisodeSampler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    new_trainer().fit(train, 2, 1, verbose=0)
    new_learner().fit(train, 1)
    assert {record.name for record in caplog.records if "of" in record.getMessage()} == {"edge_meta"}
    assert "epoch 2 of 2" in caplog.text
    assert "episode 1 of 1" in caplog.text


def test_weights_include_what_a_method_learns_besides(train: EpisodeSampler) -> None:
    method = MAML(seeded_encoder(), way=None, steps=1, learn_rates=True)
    trainer = Trainer(method)
    assert len(trainer.trainable_variables) == len(method.trainable_variables)
    assert len(trainer.trainable_variables) > len(method.encoder.trainable_variables)


def test_predict_embeds_and_save_keeps_the_encoder(tmp_path: Path, val: EpisodeSampler) -> None:
    trainer, images = new_trainer(), val.dataset.examples[:5]
    embeddings = trainer.predict(images)
    trainer.save(tmp_path / "encoder.keras")
    kept = keras.saving.load_model(tmp_path / "encoder.keras")
    normalized = trainer.method.input_spec.normalize(images)
    assert np.allclose(np.asarray(kept(normalized)), embeddings, atol=1e-5)


def test_summary_is_that_of_the_encoder(capsys: pytest.CaptureFixture[str]) -> None:
    Trainer(ProtoNet(one_block())).summary()
    assert "Conv2D" in capsys.readouterr().out


def test_fit_before_compile_is_a_runtime_error(train: EpisodeSampler) -> None:
    with pytest.raises(RuntimeError, match="compile"):
        Trainer(ProtoNet(seeded_encoder())).fit(train)
