"""NCA: its loss equals plain float64 arithmetic written from the definition, and it is judged by prototypes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from edge_meta.training import NCA, ProtoNet
from edge_meta.training.methods.nca import neighbour_loss

WAY, SHOT, QUERY = 4, 2, 3


def expected(embeddings: np.ndarray, truth: np.ndarray) -> float:
    """Loss of embeddings (M, D) with classes (M,), one pair at a time."""
    losses = []
    for i, own in enumerate(embeddings):
        weights = {j: np.exp(-((own - other) ** 2).sum()) for j, other in enumerate(embeddings) if j != i}
        of_class = sum(weight for j, weight in weights.items() if truth[j] == truth[i])
        losses.append(-np.log(of_class / sum(weights.values())))
    return float(np.mean(losses))


@pytest.fixture
def encoder() -> keras.Model:
    """x ↦ flat(x) · kernel in float64."""
    inputs = keras.Input((2, 3, 1), dtype="float64")
    flat = keras.layers.Flatten(dtype="float64")(inputs)
    encoder = keras.Model(inputs, keras.layers.Dense(4, dtype="float64")(flat))
    encoder.set_weights([np.random.default_rng(0).normal(size=(6, 4)), np.ones(4)])
    return encoder


@pytest.fixture
def episode() -> list[tf.Tensor]:
    """Support and query of two tasks, (2, way, examples, 2, 3, 1)."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(2, WAY, 1, 2, 3, 1))
    return [tf.constant(centres + 0.5 * rng.normal(size=(2, WAY, count, 2, 3, 1))) for count in (SHOT, QUERY)]


def test_loss_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([0, 0, 1, 1, 1, 2, 2])
    tasks = rng.normal(size=(3, len(truth), 5))
    found = float(neighbour_loss(tf.constant(tasks), tf.constant(truth)))
    assert found == pytest.approx(np.mean([expected(embeddings, truth) for embeddings in tasks]), rel=1e-9)


def test_far_neighbours_give_a_finite_loss_and_gradient() -> None:
    truth = tf.constant([0, 0, 1, 1])
    embeddings = tf.Variable([[[0.0], [300.0], [1.0], [301.0]]])
    with tf.GradientTape() as tape:
        loss = neighbour_loss(embeddings, truth)
    # Each has a stranger at a distance of 1, and its own class at 300.
    assert float(loss) == pytest.approx(300.0**2 - 1.0, rel=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, embeddings).numpy()))


def test_all_pairs_of_each_task_count_and_prototypes_judge(encoder: keras.Model, episode: list[tf.Tensor]) -> None:
    support, query = episode
    loss, accuracy = NCA(encoder).batch_loss(support, query)
    kernel, bias = encoder.get_weights()
    examples = np.concatenate([support, query], axis=2).reshape(2, WAY * (SHOT + QUERY), 6) @ kernel + bias
    truth = np.repeat(np.arange(WAY), SHOT + QUERY)
    assert float(loss) == pytest.approx(np.mean([expected(each, truth) for each in examples]), rel=1e-6)
    assert float(accuracy) == float(ProtoNet(encoder).batch_loss(support, query)[1])
    assert float(accuracy) < 1.0, "the episode is too easy to tell a wrong accuracy"
