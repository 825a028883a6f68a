"""Encoders: their shapes, and that the one that trains faster is a Conv4 on the device."""

import keras
import numpy as np
import pytest

from edge_meta.training.encoders import ENCODERS, conv4, conv4_fast, for_device


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(("shape", "dim"), [((28, 28, 1), 64), ((16, 16, 3), 64), ((84, 84, 3), 1600)])
def test_gives_an_embedding(name, shape, dim):
    encoder = ENCODERS[name](shape)
    assert encoder.output_shape == (None, dim)
    assert encoder.name == name


@pytest.fixture
def trained():
    """A conv4_fast with the weights that training could leave: any, but scales of batch norm that are not negative."""
    encoder = conv4_fast(filters=8)
    rng = np.random.default_rng(0)
    for variable in encoder.weights:
        values = rng.normal(size=variable.shape)
        positive = "gamma" in variable.name or "variance" in variable.name
        variable.assign(np.abs(values) if positive else values)
    return encoder


def test_conv4_fast_is_a_conv4_of_the_same_weights_once_its_statistics_are_frozen(trained):
    deployed = for_device(trained)
    assert [layer.name for layer in deployed.layers[1:5]] == ["conv1", "norm1", "relu1", "pool1"]
    images = np.random.default_rng(1).normal(size=(5, 28, 28, 1)).astype(np.float32)
    wanted = trained(images, training=False).numpy()
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(deployed(images, training=False), wanted, rtol=1e-4, atol=1e-4)


def test_a_negative_scale_would_not_commute_and_is_never_learned(trained):
    images = np.random.default_rng(1).normal(size=(5, 28, 28, 1)).astype(np.float32)
    trained.get_layer("norm1").gamma.assign(-np.ones(8))
    assert np.abs(for_device(trained)(images, training=False) - trained(images, training=False)).max() > 0.1
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(trained.trainable_variables)
    optimizer.apply([np.ones(variable.shape, np.float32) * 9 for variable in trained.trainable_variables])
    assert all(layer.gamma.numpy().min() >= 0 for layer in trained.layers if "norm" in layer.name)


def test_a_conv4_is_deployed_as_it_is():
    encoder = conv4(filters=8)
    assert for_device(encoder) is encoder
