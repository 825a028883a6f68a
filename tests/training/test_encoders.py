"""Encoders: their shapes, and copies in another precision and for the device."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from edge_meta.training.encoder_copies import BFLOAT16, FLOAT32, for_device, in_precision
from edge_meta.training.encoders import ENCODERS, conv4, resnet7, resnet8


@pytest.mark.parametrize("name", ENCODERS)
def test_has_the_name_it_goes_by(name: str) -> None:
    assert ENCODERS[name]((32, 32, 3)).name == name


@pytest.mark.parametrize(("shape", "dim"), [((28, 28, 1), 64), ((16, 16, 3), 64), ((84, 84, 3), 1600)])
def test_conv4_gives_an_embedding_of_what_four_halvings_leave(shape: tuple[int, int, int], dim: int) -> None:
    encoder = conv4(shape)
    assert (encoder.input_shape, encoder.output_shape) == ((None, *shape), (None, dim))


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 16, 3), (17, 30, 1), (84, 84, 3)])
def test_resnet7_embeds_as_wide_as_its_last_block(shape: tuple[int, int, int]) -> None:
    assert resnet7(shape).output_shape == (None, 56)
    narrow = resnet7(shape, filters=(4, 8, 24))
    assert (narrow.input_shape, narrow.output_shape) == ((None, *shape), (None, 24))
    kernels = [layer.kernel.shape[0] for layer in narrow.layers if isinstance(layer, keras.layers.Conv2D)]
    assert (kernels.count(3), kernels.count(1)) == (7, 2)


def test_the_embedding_of_resnet7_is_the_mean_over_the_last_map() -> None:
    encoder = resnet7((84, 84, 3), filters=(4, 4, 8))
    images = np.random.default_rng(0).random((2, 84, 84, 3)).astype(np.float32)
    last = keras.Model(encoder.input, encoder.get_layer("embedding").input)(images, training=False).numpy()
    assert last.shape == (2, 11, 11, 8)
    np.testing.assert_allclose(encoder(images, training=False), last.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_resnet8_is_resnet7_after_one_more_halving() -> None:
    keras.utils.set_random_seed(0)
    encoder = resnet8(filters=(6, 4, 8, 12))
    assert (encoder.input_shape, encoder.output_shape) == ((None, 56, 56, 1), (None, 12))
    fine = keras.Model(encoder.input, encoder.get_layer("fine_relu").output)
    assert fine.output_shape == (None, 28, 28, 6)
    rest = resnet7(fine.output_shape[1:], filters=(4, 8, 12))
    rest.set_weights(encoder.get_weights()[len(fine.get_weights()) :])
    images = np.random.default_rng(0).random((2, 56, 56, 1)).astype(np.float32)
    np.testing.assert_array_equal(encoder(images, training=False), rest(fine(images, training=False), training=False))


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[conv4, resnet7])
def encoder(request: pytest.FixtureRequest) -> keras.Model:
    """An encoder with the weights and statistics that training on several devices could leave."""
    keras.utils.set_random_seed(0)
    made = conv4(filters=8) if request.param is conv4 else resnet7(filters=(8, 8, 12))
    rng = np.random.default_rng(0)
    for variable in made.weights:
        spread = 0.2 * rng.normal(size=variable.shape)
        variable.assign(variable + (np.abs(spread) if "variance" in variable.name else spread))
    for layer in norms(made):
        layer.synchronized = True
    return made


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((6, 28, 28, 1)).astype(np.float32)


def norms(encoder: keras.Model) -> list[keras.layers.BatchNormalization]:
    found = [layer for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert found
    return found


@pytest.mark.parametrize("copied", [lambda encoder: in_precision(encoder, FLOAT32), for_device], ids=["float32", "device"])
def test_a_copy_in_float32_is_the_same_function(
    encoder: keras.Model, images: np.ndarray, copied: Callable[[keras.Model], keras.Model]
) -> None:
    wanted = encoder(images, training=False).numpy()
    assert np.ptp(wanted, axis=0).max() > 0.1, "an encoder that embeds all alike tells nothing"
    np.testing.assert_array_equal(copied(encoder)(images, training=False), wanted)


@pytest.mark.parametrize("training", [False, True])
def test_a_copy_in_bfloat16_is_near(encoder: keras.Model, images: np.ndarray, training: bool) -> None:
    copy = in_precision(in_precision(encoder, FLOAT32), BFLOAT16)
    wanted, found = (each(images, training=training) for each in (in_precision(encoder, FLOAT32), copy))
    assert found.dtype == "float32"
    assert {variable.dtype for variable in copy.variables} == {"float32"}
    assert {layer.compute_dtype for layer in copy.layers[1:-1]} == {"bfloat16"}
    assert 0 < np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "copied",
    [lambda encoder: in_precision(encoder, BFLOAT16), lambda encoder: for_device(in_precision(encoder, BFLOAT16))],
    ids=["bfloat16", "device"],
)
def test_a_copy_has_variables_of_its_own_and_is_for_one_device(
    encoder: keras.Model, images: np.ndarray, copied: Callable[[keras.Model], keras.Model]
) -> None:
    before = encoder(images, training=False).numpy()
    copy = copied(encoder)
    for mine, theirs in zip(copy.weights, encoder.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        mine.assign(mine + 1.0)
    np.testing.assert_array_equal(encoder(images, training=False), before)
    assert not any(layer.synchronized for layer in norms(copy))
    assert all(layer.synchronized for layer in norms(encoder)), "the original has lost it"


def test_the_device_gets_a_float32_encoder(encoder: keras.Model) -> None:
    half = in_precision(encoder, BFLOAT16)
    assert {layer.dtype_policy.name for layer in half.layers} == {BFLOAT16, FLOAT32}
    assert {layer.dtype_policy.name for layer in for_device(half).layers} == {FLOAT32}
