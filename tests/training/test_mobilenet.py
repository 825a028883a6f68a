"""Keras's MobileNets as encoders: what they give, what they start from, training, and the int8 export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from support.workstation import save_npz

from converters import ModelOptions, export_bundle
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.classifier import Classifier
from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.config import TrainingConfig
from edge_meta.training.encoder_copies import for_device, in_precision
from edge_meta.training.methods.distill import Distill
from edge_meta.training.mobilenet import APPLICATIONS, MOMENTUM, imagenet_weights, mobilenet_v2, mobilenet_v3_small
from edge_meta.training.start import start_from
from edge_meta.training.teachers import Teacher

SHAPE = (32, 32, 3)
NO_IMAGES = np.zeros((0, *SHAPE), np.uint8)
MAKERS = {"mobilenet_v2": mobilenet_v2, "mobilenet_v3_small": mobilenet_v3_small}
PIXELS = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
IMAGES = ImageInput.for_shape(SHAPE).normalize(PIXELS)


def application(name: str, seed: int = 1) -> keras.Model:
    """Keras's network with random weights, batch-norm statistics too."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    made = APPLICATIONS[name](weights=None, input_shape=SHAPE)
    made.set_weights([weights + 0.01 * rng.random(weights.shape) for weights in made.get_weights()])
    return made


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_gives_keras_values_at_their_mean(name: str, suffix: str, tmp_path: Path) -> None:
    theirs, path = application(name), tmp_path / f"net{suffix}"
    (theirs.save if suffix == ".keras" else theirs.save_weights)(path)
    encoder = MAKERS[name](SHAPE)
    start_from(str(path), encoder, name, NO_IMAGES)
    wanted = theirs(IMAGES, training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(encoder(IMAGES, training=False), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_the_linear_layer_on_top_keeps_its_weights(name: str, tmp_path: Path) -> None:
    theirs, path = application(name), tmp_path / "net.keras"
    theirs.save(path)
    encoder = MAKERS[name](SHAPE, dim=8)
    before = encoder.get_layer("projection").get_weights()
    start_from(str(path), encoder, name, NO_IMAGES)
    for mine, old in zip(encoder.get_layer("projection").get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)
    for mine, new in zip(encoder.get_weights(), theirs.get_weights(), strict=False):
        np.testing.assert_array_equal(mine, new)
    np.testing.assert_allclose(np.linalg.norm(encoder(IMAGES), axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("copied", [for_device, lambda encoder: in_precision(encoder, "float32")])
def test_copies_are_the_same_function(copied: Callable[[keras.Model], keras.Model]) -> None:
    encoder = mobilenet_v3_small(SHAPE, dim=8)  # it has arithmetic between layers
    assert any(isinstance(layer, FusedBatchNormalization) for layer in encoder.layers)
    np.testing.assert_array_equal(copied(encoder)(IMAGES, training=False), encoder(IMAGES, training=False))


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_of_another_network_is_refused(suffix: str, tmp_path: Path) -> None:
    theirs, path = application("mobilenet_v2"), tmp_path / f"net{suffix}"
    (theirs.save if suffix == ".keras" else theirs.save_weights)(path)
    encoder = mobilenet_v3_small(SHAPE)
    before = encoder.get_weights()
    with pytest.raises(TrainingError, match="net"):
        start_from(str(path), encoder, "mobilenet_v3_small", NO_IMAGES)
    assert all(np.array_equal(a, b) for a, b in zip(encoder.get_weights(), before, strict=True))


@pytest.mark.parametrize("name", ["nosuch.keras", "nosuch.weights.h5"])
def test_a_file_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nosuch"):
        start_from(str(tmp_path / name), mobilenet_v2(SHAPE), "mobilenet_v2", NO_IMAGES)


def test_without_a_network_the_error_names_a_local_file() -> None:
    def unreachable(**_: object) -> keras.Model:
        raise Exception("URL fetch failure\nand more")

    with pytest.raises(TrainingError, match="URL fetch failure") as raised:
        imagenet_weights(unreachable, 128)
    assert "--start FILE.keras" in raised.value.remedy


@pytest.mark.parametrize(("asked", "used"), [(128, 128), (100, 224)])
def test_weights_are_those_of_the_images_size(asked: int, used: int) -> None:
    def downloaded(weights: str, input_shape: tuple[int, int, int]) -> keras.Model:
        assert weights == "imagenet"
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(1)])

    assert imagenet_weights(downloaded, asked)[0].shape == (3 * used**2, 1)


def test_keras_has_no_weights_for_other_encoders() -> None:
    with pytest.raises(TrainingError, match="photo12"):
        start_from("imagenet", mobilenet_v2(SHAPE), "photo12", NO_IMAGES)


@pytest.mark.parametrize("shape", [(16, 16, 3), (64, 64, 1)])
def test_images_too_small_or_grey_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(TrainingError, match="--rgb and --image-size 32"):
        mobilenet_v2(shape)


@pytest.mark.parametrize(("encoder", "dim"), [("conv4", 8), ("mobilenet_v2", 0)])
def test_a_dim_that_an_encoder_cannot_have_is_refused(encoder: str, dim: int) -> None:
    with pytest.raises(TrainingError, match="--dim"):
        TrainingConfig(encoder=encoder, dim=dim)


def settled(encoder: keras.Model, images: np.ndarray) -> keras.Model:
    """Take the batch-norm statistics of some images, as training would leave them."""
    norms = [layer for layer in encoder.layers if isinstance(layer, FusedBatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    encoder(images, training=True)
    for norm in norms:
        norm.momentum = MOMENTUM
    return encoder


# Random weights of MobileNetV2 at this size are lost in rounding, and the export refuses that.
@pytest.mark.parametrize(("name", "quantize"), [("mobilenet_v2", "float32"), ("mobilenet_v3_small", "int8")])
def test_random_weights_are_exported(name: str, quantize: str, tmp_path: Path) -> None:
    dataset, spec = save_npz(tmp_path / "data.npz", classes=10, examples=8, channels=3), ImageInput.for_shape(SHAPE)
    photos = load_dataset(dataset, "train", spec).examples
    keras.utils.set_random_seed(0)
    encoder = for_device(settled(MAKERS[name](SHAPE, dim=16), spec.normalize(photos)))
    encoder.save(tmp_path / "encoder.keras")
    source, model = tmp_path / "encoder.keras", ModelOptions(output_tensor="embedding", mean=(128.0,), scale=(1 / 128,))
    bundle = export_bundle(
        source, tmp_path / "net.bundle", quantize=quantize, calibration=dataset, max_drop=100, model_options=model
    )
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        found = np.stack([classifier.embed(pixels) for pixels in photos])
    wanted = encoder(spec.normalize(photos), training=False).numpy()
    cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1)
    assert bundle.manifest.quantization == quantize
    assert (bundle.manifest.input_spec.mean, bundle.manifest.input_spec.scale) == (128.0, 1 / 128)
    assert np.median(cosines) > 0.6  # of random weights, in maps of one place; 0 is chance


def test_distillation_moves_all_but_the_teacher() -> None:
    spec = ImageInput.for_shape(SHAPE)
    teacher, encoder = mobilenet_v2(SHAPE), mobilenet_v3_small(SHAPE, dim=8)
    learner = Distill(encoder, spec, [Teacher(teacher, spec)])
    learner.prepare(Dataset("photos", "train", np.tile(PIXELS, (3, 1, 1, 1)), np.zeros(12, np.int32), ("a",), ("",)))
    images = IMAGES.reshape(1, 2, 2, *SHAPE)
    loss, _, gradients = learner.gradients(images[:, :, :1], images[:, :, 1:], np.zeros((1, 2), int))
    assert 0 <= float(loss) <= 2
    assert len(gradients) == len(encoder.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
