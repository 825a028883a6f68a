"""Fine-tuning for int8: rounding as int8 does, gradients past it, and accuracy that comes back where rounding took it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import export_bundle
from converters.quantization.convert import convert
from converters.quantization.parity import parity
from converters.quantization.quantize_aware import (
    MOMENTUM,
    Range,
    RoundedConv2D,
    fine_tune,
    quantize_aware,
    without_rounding,
)
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.embeddings import embed_images
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.encoders import conv4, resnet7

INPUT = ImageInput(16, 16)


def hardened(encoder: keras.Model) -> keras.Model:
    """The same function, whose channels differ up to 300-fold in size: what a ReLU passes on, the next layer undoes."""
    hard = keras.models.clone_model(encoder)
    hard.set_weights(encoder.get_weights())
    rng = np.random.default_rng(0)
    for block in (1, 2, 3):
        sizes = 10 ** rng.uniform(-1.25, 1.25, 8)
        sizes /= sizes.max()
        gamma, beta, *statistics = hard.get_layer(f"norm{block}").get_weights()
        hard.get_layer(f"norm{block}").set_weights([gamma * sizes, beta * sizes, *statistics])
        kernel, bias = hard.get_layer(f"conv{block + 1}").get_weights()
        hard.get_layer(f"conv{block + 1}").set_weights([kernel / sizes[:, None], bias])
    return hard


def with_outliers(encoder: keras.Model) -> keras.Model:
    """One channel of each block is a hundred times as large as the others, and says nothing."""
    hard = keras.models.clone_model(encoder)
    hard.set_weights(encoder.get_weights())
    for block in (1, 2, 3):
        gamma, beta, *statistics = hard.get_layer(f"norm{block}").get_weights()
        beta[0] += 100.0
        hard.get_layer(f"norm{block}").set_weights([gamma, beta, *statistics])
        kernel, bias = hard.get_layer(f"conv{block + 1}").get_weights()
        kernel[:, :, 0] = 0.0
        hard.get_layer(f"conv{block + 1}").set_weights([kernel, bias])
    return hard


@pytest.fixture(scope="module")
def splits(finished_run: Path) -> tuple[Dataset, Dataset]:
    name = f"npz:{finished_run.parent / 'patterns.npz'}"
    train, val = (load_dataset(name, split, INPUT) for split in ("train", "val"))
    return train, val


@pytest.fixture(scope="module")
def samples(splits: tuple[Dataset, Dataset]) -> np.ndarray:
    return INPUT.normalize(splits[0].examples[:300])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The root mean square difference, as a share of the first's root mean square."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


# --- rounding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [conv4, resnet7])
def test_without_rounding_the_copy_is_the_folded_encoder(make: Callable[..., keras.Model]) -> None:
    keras.utils.set_random_seed(0)
    encoder = for_device(make((16, 16, 1)))
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(1)
            layer.set_weights([rng.uniform(0.5, 2.0, each.shape).astype(np.float32) for each in layer.get_weights()])
    images = np.random.default_rng(0).random((10, 16, 16, 1)).astype(np.float32)
    copy = quantize_aware(encoder)
    with without_rounding(copy):
        np.testing.assert_allclose(copy(images), encoder(images, training=False), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in copy.layers[-1].layers)
    assert not np.allclose(copy(images), encoder(images, training=False), rtol=1e-4, atol=1e-5), "nothing is rounded"


def test_weights_have_255_values_a_channel() -> None:
    keras.utils.set_random_seed(0)
    layer = RoundedConv2D(3, 3)
    layer.build((None, 8, 8, 2))
    kernel = np.array(layer.kernel)
    kernel[..., 1] *= 50.0
    with tf.GradientTape() as tape:
        variable = tf.Variable(kernel)
        rounded = layer.rounded(variable, (0, 1, 2))
        loss = tf.reduce_sum(rounded * np.arange(kernel.size, dtype=np.float32).reshape(kernel.shape))
    np.testing.assert_array_equal(tape.gradient(loss, variable), np.arange(kernel.size).reshape(kernel.shape))
    for channel in range(3):
        scale = np.abs(kernel[..., channel].astype(np.float64)).max() / 127
        steps = rounded.numpy()[..., channel] / scale
        np.testing.assert_allclose(steps, np.round(kernel[..., channel] / scale), atol=1e-3)


def test_a_range_rounds_to_256_values_and_holds_zero() -> None:
    layer = Range()
    layer.build((None, 4))
    layer.momentum = 0.0
    batch = np.linspace(1.0, 3.0, 4000, dtype=np.float32).reshape(-1, 4)
    found = layer(batch, training=True).numpy()
    assert len(np.unique(found)) <= 256
    np.testing.assert_allclose(found, np.round(batch * 255 / 3) * 3 / 255, atol=1e-5)  # from 0, not from 1
    layer.momentum = MOMENTUM
    layer(2.0 * batch, training=True)
    assert float(layer.high) == pytest.approx(3.0 * MOMENTUM + 6.0 * (1.0 - MOMENTUM), rel=1e-5)
    layer(9.0 * batch, training=False)
    assert float(layer.high) < 3.1, "what is only judged moves no range"


def test_equalized_channels_are_of_one_size(trained: keras.Model) -> None:
    """Weights of 1 : 300 between channels come out as of the encoder that they were made of."""
    images = np.random.default_rng(0).random((10, 16, 16, 1)).astype(np.float32)
    plain, hard = (quantize_aware(encoder) for encoder in (trained, hardened(trained)))
    for copy in (plain, hard):
        with without_rounding(copy):
            np.testing.assert_allclose(copy(images), trained(images, training=False), rtol=1e-3, atol=1e-4)
    for block in (1, 2, 3):
        kernels = [copy.layers[-1].get_layer(f"conv{block}").get_weights()[0] for copy in (plain, hard)]
        np.testing.assert_allclose(*kernels, rtol=0.05, atol=1e-3)
        after = hard.layers[-1].get_layer(f"conv{block + 1}").get_weights()[0]
        given, taken = np.abs(kernels[1]).max(axis=(0, 1, 2)), np.abs(after).max(axis=(0, 1, 3))
        np.testing.assert_allclose(given, taken, rtol=0.1)


# --- the file, and fine-tuning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [hardened, with_outliers])
def test_fine_tuning_recovers_the_loss_of_rounding(
    trained: keras.Model, splits: tuple[Dataset, Dataset], samples: np.ndarray, spoil: Callable[..., keras.Model]
) -> None:
    (train, val), hard = splits, spoil(trained)
    exact = embed_images(hard, INPUT, val.examples)
    after = embed_all(Encoder(convert(hard, "int8", samples, 4, 4)), INPUT, val.examples)
    assert all(entry["drop"]["mean"] > 0.08 for entry in parity(exact, after, val)["episodes"])

    tuned = fine_tune(hard, train, INPUT, samples, 300)
    found = embed_all(Encoder(convert(tuned, "int8", None, 4, 4)), INPUT, val.examples)
    assert all(entry["drop"]["mean"] < 0.02 for entry in parity(exact, found, val)["episodes"])
    assert 2 * apart(embed_images(tuned, INPUT, val.examples), found) < apart(exact, after)
    assert np.array_equal(embed_images(hard, INPUT, val.examples), exact), "the encoder that was given has changed"


def test_the_same_fine_tuning_gives_the_same_file(
    trained: keras.Model, splits: tuple[Dataset, Dataset], samples: np.ndarray
) -> None:
    files = []
    for _ in range(2):
        keras.utils.set_random_seed(len(files))  # nothing of it may matter
        files.append(convert(fine_tune(trained, splits[0], INPUT, samples, 3), "int8", None, 4, 4))
    assert files[0] == files[1]


@pytest.mark.parametrize(("episodes", "quantize"), [(-1, "int8"), (10, "float16"), (10, "float32")])
def test_fine_tuning_for_another_format_is_refused(finished_run: Path, tmp_path: Path, episodes: int, quantize: str) -> None:
    with pytest.raises(ExportError, match=r"Fine-tuning is for int8.* Use --quantize int8"):
        export_bundle(finished_run, tmp_path / "new.bundle", quantize=quantize, quantize_aware=episodes)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_cannot_be_taken_apart_is_refused() -> None:
    inputs = keras.Input((16, 16, 1))
    inner = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ExportError, match="cannot be fine-tuned for int8: it has a model for a layer"):
        quantize_aware(keras.Model(inputs, inner(inputs)))
