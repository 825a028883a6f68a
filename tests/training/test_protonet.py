"""ProtoNet: loss, accuracy and gradient equal plain float64 arithmetic written from Snell et al. 2017, eqs. 1 and 2.

The method computes them by the head's linear form, eq. 8; the arithmetic here is that of the distances.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.workstation import synthetic, tiny_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.training import ProtoNet, conv4
from edge_meta.training.methods.protonet import linear_logits

WAY, SHOT, QUERY = 4, 3, 5


def expected(support: np.ndarray, query: np.ndarray) -> tuple[float, float]:
    """Loss and accuracy of embeddings (way, shot, D) and (way, query, D)."""
    prototypes = [sum(shots) / len(shots) for shots in support.astype(np.float64)]
    losses, hits = [], []
    for own, queries in enumerate(query.astype(np.float64)):
        for embedding in queries:
            squared = [float(((embedding - prototype) ** 2).sum()) for prototype in prototypes]
            losses.append(squared[own] + np.logaddexp.reduce(np.negative(squared)))
            hits.append(min(squared) == squared[own])
    return float(np.mean(losses)), float(np.mean(hits))


@pytest.fixture
def episode() -> tuple[np.ndarray, np.ndarray]:
    """Normalized images of a support set and a query set, (way, examples, 16, 16, 1)."""
    rng = np.random.default_rng(0)
    patterns = rng.random((WAY, 1, 16, 16, 1))
    return tuple((patterns + 0.7 * rng.normal(size=(WAY, count, 16, 16, 1))).astype(np.float32) for count in (SHOT, QUERY))


@pytest.fixture(params=[0, 1, 2])
def linear(request: pytest.FixtureRequest) -> keras.Model:
    """An encoder x ↦ flat(x) · kernel + bias in float64."""
    inputs = keras.Input((2, 3, 1), dtype="float64")
    flat = keras.layers.Flatten(dtype="float64")(inputs)
    encoder = keras.Model(inputs, keras.layers.Dense(4, dtype="float64")(flat))
    rng = np.random.default_rng(request.param)
    encoder.set_weights([rng.normal(size=(6, 4)), rng.normal(size=4)])
    return encoder


@pytest.fixture
def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(WAY, 1, 2, 3, 1))
    return tuple(centres + 0.5 * rng.normal(size=(WAY, count, 2, 3, 1)) for count in (SHOT, QUERY))


def embedded(encoder: keras.Model, images: np.ndarray) -> np.ndarray:
    kernel, bias = encoder.get_weights()
    return images.reshape(*images.shape[:2], -1) @ kernel + bias


def test_loss_and_accuracy_of_a_linear_encoder_are_exact(linear: keras.Model, examples: tuple) -> None:
    loss, accuracy = ProtoNet(linear).loss(*map(tf.constant, examples))
    assert (float(loss), float(accuracy)) == pytest.approx(expected(*(embedded(linear, e) for e in examples)), rel=1e-6)
    assert float(accuracy) < 1.0, "the episode is too easy to tell a wrong accuracy"


def test_the_linear_form_is_the_softmax_over_distances() -> None:
    rng = np.random.default_rng(2)
    embeddings, prototypes = rng.normal(size=(3, 6, 5)), rng.normal(size=(3, WAY, 5)) + 1.0
    logits = linear_logits(tf.constant(embeddings), tf.constant(prototypes)).numpy()
    negative = np.array(
        [[[-sum((x - c) ** 2) for c in own] for x in asked] for asked, own in zip(embeddings, prototypes, strict=True)]
    )
    expected_softmax = np.exp(negative) / np.exp(negative).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(tf.nn.softmax(logits).numpy(), expected_softmax, rtol=1e-10)
    np.testing.assert_allclose(negative + (embeddings**2).sum(axis=2, keepdims=True), logits, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("tasks", "way", "shot", "query"), [(1, 2, 1, 1), (3, 4, 3, 5), (2, 9, 1, 2)])
def test_the_loss_of_several_tasks_is_the_mean_of_each_by_itself(
    linear: keras.Model, tasks: int, way: int, shot: int, query: int
) -> None:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(tasks, way, 1, 2, 3, 1))
    support, asked = (centres + 0.5 * rng.normal(size=(tasks, way, count, 2, 3, 1)) for count in (shot, query))
    alone = [
        expected(*(embedded(linear, part) for part in task)) for task in zip(support, asked, strict=True)
    ]  # each class and example has its place, so that a wrong order would show
    loss, accuracy = ProtoNet(linear).batch_loss(tf.constant(support), tf.constant(asked))
    assert (float(loss), float(accuracy)) == pytest.approx(tuple(np.mean(alone, axis=0)), rel=1e-6)
    assert tasks == 1 or np.ptp([loss for loss, _ in alone]) > 1e-3


def test_tasks_share_the_statistics_of_batch_norm(episode: tuple) -> None:
    encoder = tiny_encoder(0)
    support, query = (np.stack([examples, 2.0 * examples - 1.0]) for examples in episode)
    loss, _ = ProtoNet(encoder).batch_loss(tf.constant(support), tf.constant(query))
    images = np.concatenate([part.reshape(-1, 16, 16, 1) for part in (support, query)])
    known, asked = np.split(encoder(images, training=True).numpy(), [2 * WAY * SHOT])
    parts = zip(known.reshape(2, WAY, SHOT, -1), asked.reshape(2, WAY, QUERY, -1), strict=True)
    assert float(loss) == pytest.approx(np.mean([expected(*part)[0] for part in parts]), rel=1e-5)
    apart = [float(ProtoNet(encoder).loss(*map(tf.constant, task))[0]) for task in zip(support, query, strict=True)]
    assert float(loss) != pytest.approx(np.mean(apart), rel=1e-3)


def test_more_ways_in_training_than_at_test() -> None:
    learner = ProtoNet(tiny_encoder(0))
    learner.compile(keras.optimizers.SGD(0.01))
    data = synthetic(12, 6, noise=60.0)
    history = learner.fit(EpisodeSampler(data, way=12, shot=2, query=3), 2)
    assert history[0]["loss"] > 0
    few = EpisodeSampler(data, way=3, shot=1, query=4)
    judged = learner.evaluate(few, 50)
    assert judged.mean == accuracies(learner.embed(data.examples), few, 50).mean()
    assert judged.mean > 0.5


def test_gradient_equals_central_differences_of_the_plain_loss(linear: keras.Model, examples: tuple) -> None:
    with tf.GradientTape() as tape:
        loss, _ = ProtoNet(linear).loss(*map(tf.constant, examples))
    kernel_gradient, bias_gradient = (gradient.numpy() for gradient in tape.gradient(loss, linear.trainable_variables))
    kernel, bias = linear.get_weights()
    differences = np.empty_like(kernel)
    step = 1e-5
    for index in np.ndindex(kernel.shape):
        sides = []
        for side in (step, -step):
            moved = kernel.copy()
            moved[index] += side
            linear.set_weights([moved, bias])
            sides.append(expected(*(embedded(linear, e) for e in examples))[0])
        differences[index] = (sides[0] - sides[1]) / (2 * step)
    assert np.allclose(kernel_gradient, differences, rtol=1e-6, atol=1e-8)
    assert np.abs(differences).max() > 0.1
    assert np.allclose(bias_gradient, 0.0, atol=1e-12)  # distances do not see a shift of all embeddings


def test_loss_embeds_support_and_query_as_one_batch(episode: tuple) -> None:
    encoder = tiny_encoder(0)
    frozen = [variable.numpy() for variable in encoder.non_trainable_variables]
    loss, accuracy = ProtoNet(encoder).loss(*map(tf.constant, episode))
    for before, after in zip(frozen, encoder.non_trainable_variables, strict=True):
        assert not np.array_equal(before, after.numpy())
    images = np.concatenate([examples.reshape(-1, 16, 16, 1) for examples in episode])
    embeddings = encoder(images, training=True).numpy()
    support, query = np.split(embeddings, [WAY * SHOT])
    assert (float(loss), float(accuracy)) == pytest.approx(
        expected(support.reshape(WAY, SHOT, -1), query.reshape(WAY, QUERY, -1)), rel=1e-5
    )


def test_distances_are_squared_and_prototypes_are_means() -> None:
    inputs = keras.Input((2, 1, 1))
    identity = keras.Model(inputs, keras.layers.Flatten()(inputs))
    support = tf.constant([[[0.0, 0.0], [2.0, 0.0]], [[4.0, 0.0], [4.0, 2.0]]])[..., None, None]  # means (1, 0) and (4, 1)
    query = tf.constant([[[1.0, 0.0]], [[3.0, 0.0]]])[..., None, None]
    loss, accuracy = ProtoNet(identity).loss(support, query)
    # (1, 0) is 0 and √10 away; (3, 0) is 2 and √2 away.
    assert float(loss) == pytest.approx((np.log1p(np.exp(-10.0)) + np.log1p(np.exp(-2.0))) / 2, rel=1e-5)
    assert float(accuracy) == 1.0


def test_every_trainable_weight_is_moved_by_the_loss(episode: tuple) -> None:
    learner = ProtoNet(tiny_encoder(0))
    with tf.GradientTape() as tape:
        loss, _ = learner.loss(*map(tf.constant, episode))
    gradients = tape.gradient(loss, learner.trainable_variables)
    assert all(gradient is not None and np.all(np.isfinite(gradient)) for gradient in gradients)
    kernels = [g for g, v in zip(gradients, learner.trainable_variables, strict=True) if v.name == "kernel"]
    assert len(kernels) == 4
    assert all(np.abs(gradient).max() > 1e-6 for gradient in kernels)


def test_a_method_is_shown_in_a_line() -> None:
    assert repr(ProtoNet(conv4((28, 28, 1)))) == "<ProtoNet of conv4: 28×28×1 image to 64 values>"
