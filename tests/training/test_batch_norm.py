"""FusedBatchNormalization is Keras's batch norm up to the first derivative, and stays out of what a run keeps.

Keras's second derivatives are wrong; test_maml.py holds ours against finite differences.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from edge_meta.training import MAML, Reptile
from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.encoders import conv4, resnet7

SHAPE = (6, 5, 4, 3)


def layer(kind: type[keras.layers.BatchNormalization]) -> keras.layers.BatchNormalization:
    made = kind(momentum=0.7, epsilon=1e-3)
    made.build(SHAPE)
    made.set_weights([np.array([0.5, -1.5, 2.0]), np.array([0.1, 0.2, -3.0]), np.ones(3), np.full(3, 2.0)])
    return made


@pytest.fixture
def images() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(3.0, 2.0, SHAPE), tf.float32)


def passed(made: keras.layers.BatchNormalization, images: tf.Tensor, training: bool) -> list[np.ndarray]:
    """Outputs, gradients, and the moving statistics after a pass."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = made(images, training=training)
        loss = tf.reduce_sum(outputs**3)
    gradients = tape.gradient(loss, [images, *(variable.value for variable in made.trainable_variables)])
    return [np.asarray(each) for each in (outputs, *gradients, made.moving_mean, made.moving_variance)]


@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_statistics_are_those_of_keras(images: tf.Tensor, training: bool) -> None:
    ours, keras_own = (layer(kind) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization))
    for mine, wanted in zip(passed(ours, images, training), passed(keras_own, images, training), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert np.any(ours.moving_mean != 1.0) == training


def test_training_runs_the_fused_kernel_and_frozen_layers_do_not(images: tf.Tensor) -> None:
    made = layer(FusedBatchNormalization)

    def kernels() -> bool:
        graph = tf.function(lambda images: made(images, training=True)).get_concrete_function(images).graph
        return any(operation.type.startswith("FusedBatchNorm") for operation in graph.get_operations())

    assert kernels()
    made.trainable = False
    assert not kernels()


def loss_and_gradients(encoder: keras.Model, transductive: bool) -> tuple[float, list[np.ndarray]]:
    rng = np.random.default_rng(1)
    support, query = rng.normal(size=(3, 2, 16, 16, 1)), rng.normal(size=(3, 4, 16, 16, 1))
    learner = MAML(encoder, way=3, steps=2, first_order=True, transductive=transductive)
    learner.head[0].assign(rng.normal(size=learner.head[0].shape) * 0.3)
    with tf.GradientTape() as tape:
        loss, _ = learner.loss(tf.constant(support, tf.float32), tf.constant(query, tf.float32))
    return float(loss), [np.asarray(each) for each in tape.gradient(loss, learner.trainable_variables)]


@pytest.mark.parametrize("transductive", [True, False])
def test_fomaml_gradients_are_those_with_kerass_batch_norm(transductive: bool) -> None:
    rng = np.random.default_rng(0)
    encoder = conv4((16, 16, 1), filters=4)
    for variable in encoder.trainable_variables:
        variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    MAML(encoder, way=3, first_order=False)  # another method around the same encoder changes nothing
    wanted = loss_and_gradients(for_device(encoder), transductive)
    found = loss_and_gradients(encoder, transductive)
    assert found[0] == pytest.approx(wanted[0], rel=1e-4)
    largest = max(np.abs(each).max() for each in wanted[1])
    for mine, theirs in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-2, atol=1e-3 * largest)


@pytest.mark.parametrize("learner", [MAML, Reptile])
def test_kept_statistics_are_of_support_before_adapting(learner: type[MAML]) -> None:
    rng = np.random.default_rng(0)
    support, query = (tf.constant(rng.normal(size=(2, 3, count, 16, 16, 1)), tf.float32) for count in (2, 4))
    encoder = conv4((16, 16, 1), filters=4)
    at_start = encoder.get_weights()
    method = learner(encoder, way=3, steps=2, learning_rate=1.0)
    method.head[0].assign(rng.normal(size=method.head[0].shape))
    method.gradients(support, query, tf.zeros((2, 3), tf.int64))
    found = [variable.numpy() for variable in encoder.non_trainable_variables]
    wanted = []
    for task in support:
        encoder.set_weights(at_start)
        encoder(tf.reshape(task, (6, 16, 16, 1)), training=True)
        wanted.append([variable.numpy() for variable in encoder.non_trainable_variables])
    for mine, theirs in zip(found, zip(*wanted, strict=True), strict=True):
        np.testing.assert_allclose(mine, np.mean(theirs, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [conv4, resnet7])
def test_what_a_run_keeps_needs_no_class_of_ours(build: type) -> None:
    encoder = build()
    assert any(isinstance(each, FusedBatchNormalization) for each in encoder.layers)
    kept = for_device(encoder)
    assert not any(isinstance(each, FusedBatchNormalization) for each in kept.layers)
    assert all(each.__module__.startswith("keras.") for each in kept.layers)
    images = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(kept(images, training=False), encoder(images, training=False))
