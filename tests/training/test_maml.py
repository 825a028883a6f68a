"""The MAML family's mathematics, in float64, against finite differences and against loops written out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edge_meta.heads import linear
from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.inner_loop import sgd_step
from edge_meta.training.methods.anil import ANIL
from edge_meta.training.methods.maml import MAML
from edge_meta.training.methods.protonet import ProtoNet
from edge_meta.training.methods.reptile import Reptile
from edge_meta.training.methods.supervised import Supervised

WAY, SHOT, QUERY, SIDE = 3, 2, 4, 16


@pytest.fixture(autouse=True)
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(1)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def encoder():
    """A smooth encoder, so that finite differences mean something."""
    inputs = keras.Input((SIDE, SIDE, 1))
    return keras.Model(inputs, layers.Dense(4, "tanh")(layers.Flatten()(inputs)))


@pytest.fixture
def task():
    rng = np.random.default_rng(2)
    support, query = (rng.normal(size=(WAY, count, SIDE, SIDE, 1)) / SIDE for count in (SHOT, QUERY))
    return tf.constant(support), tf.constant(query)


def gradients(method, task):
    variables = method.trainable_variables
    with tf.GradientTape() as tape:
        loss, _ = method.loss(*task)
    return [gradient.numpy() for gradient in tape.gradient(loss, variables)]


def finite_differences(method, task, variable, count=6, step=1e-5):
    """Central differences of the loss in some entries of a variable, as (flat indices, slopes)."""
    start = variable.numpy()
    chosen = np.random.default_rng(3).choice(start.size, min(count, start.size), replace=False)
    slopes = []
    for index in chosen:
        losses = []
        for sign in (1, -1):
            moved = start.copy().reshape(-1)
            moved[index] += sign * step
            variable.assign(moved.reshape(start.shape))
            losses.append(float(method.loss(*task)[0]))
        slopes.append((losses[0] - losses[1]) / (2 * step))
    variable.assign(start)
    return chosen, np.array(slopes)


METHODS = {
    "maml": lambda encoder: MAML(encoder, way=WAY, steps=3, learning_rate=0.5),
    "maml, learned rates": lambda encoder: MAML(encoder, way=WAY, steps=3, learning_rate=0.5, learn_rates=True),
    "proto-maml": lambda encoder: MAML(encoder, way=None, steps=3, learning_rate=0.5),
    "anil": lambda encoder: ANIL(encoder, way=WAY, steps=3, learning_rate=0.5),
    "proto-anil": lambda encoder: ANIL(encoder, way=None, steps=3, learning_rate=0.5, learn_rates=True),
}


@pytest.mark.parametrize("name", METHODS)
def test_outer_gradient_is_of_the_query_loss_after_adapting(name, encoder, task):
    method = METHODS[name](encoder)
    for variable in method.trainable_variables:  # a head that starts at zero would hide terms
        if "head" in variable.name:
            variable.assign(np.random.default_rng(4).normal(size=variable.shape))
    for variable, gradient in zip(method.trainable_variables, gradients(method, task), strict=True):
        chosen, slopes = finite_differences(method, task, variable)
        np.testing.assert_allclose(gradient.reshape(-1)[chosen], slopes, rtol=1e-5, atol=1e-8, err_msg=variable.path)


@pytest.mark.parametrize("transductive", [False, True])
@pytest.mark.parametrize("way", [WAY, None])
def test_outer_gradient_goes_through_batch_norm_statistics(way, transductive, task):
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Activation("tanh")(FusedBatchNormalization(momentum=0.9)(layers.Conv2D(2, 8, 8)(inputs)))
    method = MAML(keras.Model(inputs, layers.Flatten()(x)), way=way, steps=2, learning_rate=0.3, transductive=transductive)
    for variable in method.head:
        variable.assign(np.random.default_rng(4).normal(size=variable.shape))
    wanted = [finite_differences(method, task, variable) for variable in method.trainable_variables]
    for gradient, (chosen, slopes) in zip(gradients(method, task), wanted, strict=True):
        np.testing.assert_allclose(gradient.reshape(-1)[chosen], slopes, rtol=1e-4, atol=1e-8)


def by_hand(method, task, steps, rate, second_order):
    """The query loss at θ' and its gradient, by a loop written out, with θ' = θ − α ∇ of the support loss."""
    support, query = (tf.reshape(side, (-1, SIDE, SIDE, 1)) for side in task)
    support_truth, query_truth = np.repeat(np.arange(WAY), SHOT), np.repeat(np.arange(WAY), QUERY)

    def loss_at(parameters, images, truth):
        kernel, offset, weights, bias = parameters
        hidden = tf.tanh(tf.reshape(images, (len(truth), -1)) @ kernel + offset)
        log_probabilities = tf.nn.log_softmax(hidden @ weights + bias)
        return -tf.reduce_mean(tf.gather(log_probabilities, truth, batch_dims=1))

    start = [tf.convert_to_tensor(variable) for variable in method.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(start)
        adapted = start
        for _ in range(steps):
            with tf.GradientTape() as inner:
                inner.watch(adapted)
                loss = loss_at(adapted, support, support_truth)
            adapted = [p - rate * g for p, g in zip(adapted, inner.gradient(loss, adapted), strict=True)]
        loss = loss_at(adapted, query, query_truth)
    return float(loss), [g.numpy() for g in outer.gradient(loss, start if second_order else adapted)]


@pytest.mark.parametrize("second_order", [True, False])
def test_equals_a_loop_written_by_hand(second_order, encoder, task):
    method = MAML(encoder, way=WAY, steps=3, learning_rate=0.5, first_order=not second_order)
    for variable in method.head:
        variable.assign(np.random.default_rng(4).normal(size=variable.shape))
    loss, wanted = by_hand(method, task, 3, 0.5, second_order)
    assert float(method.loss(*task)[0]) == pytest.approx(loss, rel=1e-12)
    for gradient, hand in zip(gradients(method, task), wanted, strict=True):
        np.testing.assert_allclose(gradient, hand, rtol=1e-9, atol=1e-12)


def test_first_and_second_order_differ(encoder, task):
    both = [MAML(encoder, way=WAY, steps=3, learning_rate=0.5, first_order=first_order) for first_order in (True, False)]
    first, second = (gradients(method, task)[0] for method in both)
    assert np.abs(first - second).max() > 1e-3 * np.abs(second).max()


def test_maml_is_not_training_on_the_support_set(encoder, task):
    method = MAML(encoder, way=WAY, steps=3, learning_rate=0.5)
    before = [variable.numpy() for variable in method.trainable_variables]
    support = task[0]
    on_queries = gradients(method, task)
    for variable, kept in zip(method.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept)
    on_support = gradients(method, (support, support))
    assert np.abs(on_queries[0] - on_support[0]).max() > 1e-3 * np.abs(on_queries[0]).max()
    assert float(method.loss(*task)[0]) != float(method.loss(support, support)[0])


def test_protoanil_without_steps_is_a_prototypical_network(encoder, task):
    still = ANIL(encoder, way=None, steps=2, learning_rate=0.0)
    assert float(still.loss(*task)[0]) == pytest.approx(float(ProtoNet(encoder).loss(*task)[0]), rel=1e-12)


def test_a_batch_of_tasks_has_the_mean_of_their_losses(encoder, task):
    method = ANIL(encoder, way=None, steps=2, learning_rate=0.1)
    other = tuple(side[:, :, ::-1] for side in task)
    joint, _ = method.batch_loss(*(tf.stack(sides) for sides in zip(task, other, strict=True)))
    alone = [float(method.loss(*each)[0]) for each in (task, other)]
    assert float(joint) == pytest.approx(np.mean(alone), rel=1e-12)


def test_a_step_of_the_inner_loop_is_kerass_sgd():
    rng = np.random.default_rng(5)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float64") for shape in ((3, 2), (4,))]
    plain = [keras.optimizers.SGD(rate) for rate in (0.1, 0.5)]
    parameters = [tf.convert_to_tensor(variable) for variable in variables]
    for _ in range(3):
        gradients = [tf.constant(rng.normal(size=variable.shape)) for variable in variables]
        for optimizer, gradient, variable in zip(plain, gradients, variables, strict=True):
            optimizer.apply([gradient], [variable])
        parameters = sgd_step(parameters, gradients, tf.constant([0.1, 0.5], tf.float64))
    for parameter, variable in zip(parameters, variables, strict=True):
        np.testing.assert_allclose(parameter, variable.numpy(), rtol=1e-6)  # Keras rounds its rate to float32


def normalized_encoder():
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(layers.Conv2D(3, 3, strides=4)(inputs))
    return keras.Model(inputs, layers.Flatten()(x))


@pytest.mark.parametrize("transductive", [False, True])
def test_queries_tell_of_each_other_only_when_transductive(transductive, task):
    support, query = task
    method = MAML(normalized_encoder(), way=WAY, steps=2, learning_rate=0.1, transductive=transductive)
    first = method.logits(support, query)[:QUERY].numpy()
    changed = tf.concat([query[:1], 7.0 + 3.0 * query[1:]], axis=0)
    again = method.logits(support, changed)[:QUERY].numpy()
    if transductive:
        assert np.abs(first - again).max() > 1e-3
    else:
        np.testing.assert_allclose(first, again, rtol=1e-12)


def test_statistics_are_of_the_support_set_after_adapting(task):
    """With a rate of zero: the query logits are those of batch norm with the support set's mean and variance."""
    encoder = normalized_encoder()
    method = MAML(encoder, way=WAY, steps=1, learning_rate=0.0)
    weights = np.random.default_rng(4).normal(size=method.head[0].shape)
    method.head[0].assign(weights)
    convolution = keras.Model(encoder.input, encoder.layers[1].output)
    support, query = (convolution(tf.reshape(side, (-1, SIDE, SIDE, 1))).numpy() for side in task)
    mean, variance = support.mean(axis=(0, 1, 2)), support.var(axis=(0, 1, 2))
    embeddings = ((query - mean) / np.sqrt(variance + 1e-5)).reshape(WAY * QUERY, -1)
    np.testing.assert_allclose(method.logits(*task), embeddings @ weights, rtol=1e-6, atol=1e-9)


def test_reptile_moves_to_the_mean_of_adapted_parameters(encoder, task):
    """Against plain gradient descent on each support set, written by hand."""
    other = tuple(side[:, :, ::-1] for side in task)
    method = Reptile(encoder, way=WAY, steps=3, learning_rate=0.5)
    start = [variable.numpy() for variable in method.trainable_variables]
    ends = []
    for support, _ in (task, other):
        images, truth = tf.reshape(support, (-1, SIDE, SIDE, 1)), np.repeat(np.arange(WAY), SHOT)
        for _ in range(3):
            with tf.GradientTape() as tape:
                logits = encoder(images) @ method.head[0] + method.head[1]
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))
            for variable, gradient in zip(
                method.trainable_variables, tape.gradient(loss, method.trainable_variables), strict=True
            ):
                variable.assign_sub(0.5 * gradient)
        ends.append([variable.numpy() for variable in method.trainable_variables])
        for variable, value in zip(method.trainable_variables, start, strict=True):
            variable.assign(value)
    support, query = (tf.stack(sides) for sides in zip(task, other, strict=True))
    _, _, directions = method.gradients(support, query, None)
    for direction, before, *after in zip(directions, start, *ends, strict=True):
        np.testing.assert_allclose(direction, before - np.mean(after, axis=0), rtol=1e-9, atol=1e-12)


def test_supervised_classifies_among_all_classes_of_the_dataset(encoder, task):
    method = Supervised(encoder, classes=9)
    method.head[0].assign(np.random.default_rng(4).normal(size=method.head[0].shape))
    classes = np.array([7, 0, 4])
    loss, _, gradients_ = method.gradients(*(side[None] for side in task), tf.constant(classes[None]))
    losses = []
    for side in task:
        embeddings = encoder(tf.reshape(side, (-1, SIDE, SIDE, 1))).numpy()
        logits = embeddings @ method.head[0].numpy()
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        losses.append(-logits[np.arange(len(logits)), np.repeat(classes, side.shape[1])])
    assert float(loss) == pytest.approx(np.concatenate(losses).mean(), rel=1e-9)
    assert len(gradients_) == len(method.trainable_variables)


def test_proto_anils_inner_loop_is_the_runtimes_adapt(encoder, task):
    """TensorFlow's inner loop and the device's, the same episode and learned rates, to 1e-5."""
    method = ANIL(encoder, way=None, steps=5, learn_rates=True)
    method.rates.variable.assign([[0.5], [0.1], [2.0], [0.3], [1.0]])
    known, asked = (encoder(tf.reshape(side, (-1, SIDE, SIDE, 1))).numpy().astype(np.float32) for side in task)
    labels, prototypes = np.repeat(np.arange(WAY), SHOT), known.reshape(WAY, SHOT, -1).mean(axis=1)
    weights, bias, _ = linear.adapt(known, labels, prototypes, method.learning_rates())
    still, _ = linear.linear_from_prototypes(prototypes)
    assert np.abs(weights - still).max() > 0.01, "the rates are too small to tell anything"
    np.testing.assert_allclose(method.logits(*task), asked @ weights + bias, rtol=1e-5, atol=1e-5)
