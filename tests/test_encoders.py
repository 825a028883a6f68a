"""Encoders: their shapes, and copies in another precision."""

import keras
import numpy as np
import pytest

from edge_meta.training.encoders import BFLOAT16, ENCODERS, conv4, for_device, in_precision, resnet7


@pytest.mark.parametrize(("shape", "dim"), [((28, 28, 1), 64), ((16, 16, 3), 64), ((84, 84, 3), 1600)])
def test_conv4_gives_an_embedding(shape, dim):
    assert conv4(shape).output_shape == (None, dim)


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 16, 3), (84, 84, 3)])
def test_resnet7_gives_an_embedding_as_wide_as_its_last_block(shape):
    assert resnet7(shape).output_shape == (None, 56)
    assert resnet7(shape, filters=(8, 8, 24)).output_shape == (None, 24)


@pytest.mark.parametrize("name", ENCODERS)
def test_has_the_name_it_goes_by(name):
    assert ENCODERS[name]((28, 28, 1)).name == name


def test_a_copy_in_bfloat16_is_near_and_its_embedding_and_weights_are_float32():
    encoder = resnet7(filters=(8, 8, 8))
    copy = in_precision(encoder, BFLOAT16)
    images = np.random.default_rng(0).random((4, 28, 28, 1)).astype(np.float32)
    wanted, found = (each(images, training=True) for each in (encoder, copy))
    assert found.dtype == "float32"
    assert {variable.dtype for variable in copy.variables} == {"float32"}
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert 0 < error < 0.1


def test_a_copy_for_the_device_is_the_same_function_of_other_variables():
    encoder = conv4(filters=8)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    kept = for_device(in_precision(encoder, BFLOAT16))
    images = np.random.default_rng(0).random((4, 28, 28, 1)).astype(np.float32)
    wanted = encoder(images, training=False).numpy()
    np.testing.assert_array_equal(kept(images, training=False), wanted)
    assert not any(getattr(layer, "synchronized", False) for layer in kept.layers)
    kept.trainable_variables[0].assign(kept.trainable_variables[0] + 1)
    np.testing.assert_array_equal(encoder(images, training=False), wanted)
