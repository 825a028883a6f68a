"""The errors of single layers: a spoiled layer is found and named, and what quantization leaves alone is silent."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from converters.quantization.convert import convert
from converters.quantization.quantization_noise import measure_noise

NAMES = ("first", "second", "third", "pool", "embedding")


IMAGES = np.random.default_rng(0).random((24, 16, 16, 1)).astype(np.float32)


def encoder(spoiled: str | None = None) -> keras.Model:
    """Three convolutions and a dense layer; the spoiled one has one output channel a thousand times as large, which the next
    layer takes a thousandth of, so that the function is the same."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 1), name="image")
    for name in NAMES[:3]:
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name=name)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(8, name="embedding")(x))
    if spoiled:
        kernel, bias = model.get_layer(spoiled).get_weights()
        kernel[..., 0] *= 1000.0
        model.get_layer(spoiled).set_weights([kernel, bias])
        after = model.get_layer(NAMES[NAMES.index(spoiled) + 1])
        kernel, bias = after.get_weights()
        kernel[..., 0, :] /= 1000.0
        after.set_weights([kernel, bias])
    return model


def errors_of(model: keras.Model, quantize: str) -> list[dict]:
    files = (convert(model, kind, IMAGES, 4, 4) for kind in ("float32", quantize))
    return measure_noise(*files, IMAGES, NAMES)


@pytest.fixture(scope="module")
def healthy() -> list[dict]:
    return errors_of(encoder(), "int8")


@pytest.mark.parametrize("spoiled", ["first", "second"])
def test_the_layer_that_loses_most_is_named_first(healthy: list[dict], spoiled: str) -> None:
    assert [error["layer"] for error in healthy if error["own_db"] < 20.0] == []
    found = errors_of(encoder(spoiled), "int8")
    assert (found[0]["layer"], found[0]["operator"]) == (spoiled, "CONV_2D")
    # Seven of eight channels are lost, and all that comes behind has to do without them.
    assert found[0]["own_db"] < 1.0
    before = NAMES[: NAMES.index(spoiled)]
    assert all((error["total_db"] > 15.0) == (error["layer"] in before) for error in found)


def test_worst_comes_first_and_float32_has_no_noise(healthy: list[dict]) -> None:
    found = healthy
    assert {error["layer"] for error in found} >= {"first", "second", "third", "embedding"}
    assert [error["own_db"] for error in found] == sorted(error["own_db"] for error in found)
    # A layer cannot know more than it was told, but for what rounding happens to give back.
    assert all(error["total_db"] < error["own_db"] + 1.0 for error in found)
    assert errors_of(encoder(), "float32") == []


def test_finer_formats_have_less_noise(healthy: list[dict]) -> None:
    worst = {quantize: errors_of(encoder(), quantize)[0]["own_db"] for quantize in ("int16x8", "float16")}
    assert healthy[0]["own_db"] < worst["int16x8"] < worst["float16"] - 20.0


def test_the_noise_of_a_layer_is_that_of_its_rounding() -> None:
    """One convolution, whose int8 outputs are computed here by the arithmetic of Jacob et al. (2018), eq. 3, in float64."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Conv2D(4, 1, use_bias=False, name="first")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten(name="embedding")(x))
    (found,) = errors_of(model, "int8")
    kernel = model.get_layer("first").get_weights()[0][0, 0, 0].astype(np.float64)
    exact = IMAGES.astype(np.float64) * kernel

    def rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
        scale = (high - low) / 255
        zero = np.round(-128 - low / scale)
        return (np.clip(np.round(values / scale) + zero, -128, 127) - zero) * scale

    seen = rounded(IMAGES.astype(np.float64), 0.0, IMAGES.max())
    noisy = rounded(seen * kernel, exact.min(), exact.max())
    power = np.sum((exact - exact.mean(axis=(0, 1, 2))) ** 2, axis=(0, 1, 2))
    expected = -10 * np.log10(np.mean(np.sum((exact - noisy) ** 2, axis=(0, 1, 2)) / power))
    assert found["own_db"] == found["total_db"] == pytest.approx(expected, abs=0.3)


def test_layers_are_named_in_the_order_of_the_network(trained: keras.Model, converted: Callable[..., bytes]) -> None:
    pixels = np.random.default_rng(0).random((8, 16, 16, 1)).astype(np.float32)
    names = [layer.name for layer in trained.layers]
    found = measure_noise(converted("float32"), converted("int8"), pixels, names)
    assert "conv1 + norm1 + relu1" in {error["layer"] for error in found}
    unnamed = measure_noise(converted("float32"), converted("int8"), pixels)
    assert [error["own_db"] for error in unnamed] == [error["own_db"] for error in found]
    assert all(error["layer"] for error in unnamed)
