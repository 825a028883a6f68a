"""Networks of several outputs or maps: the tensors to choose from are told, and a map that is asked for is averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from support.models import photo_folder, tflite

from converters import ModelOptions, export_bundle
from converters.targets import export_target
from converters.tflite.edit import ends_in_integers
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder

RNG = np.random.default_rng(3)
KERNELS = [RNG.normal(0, 0.3, (3, 3, 3, 12)).astype("f4"), RNG.normal(0, 0.3, (3, 3, 12, 24)).astype("f4")]
HEATS, OFFSETS = (RNG.normal(0, 0.3, (1, 1, 24, channels)).astype("f4") for channels in (5, 10))
PHOTOS = RNG.integers(0, 256, (6, 1, 1, 3)) * np.ones((1, 16, 16, 1)) + RNG.normal(0, 20, (6, 16, 16, 3))
PHOTOS = PHOTOS.clip(0, 255).astype(np.uint8)


def points(x: Any) -> tuple[Any, Any]:
    """Heat maps (1, 4, 4, 5) and offsets (1, 4, 4, 10), as networks of keypoints give them."""
    for kernel in KERNELS:
        x = tf.nn.relu6(tf.nn.conv2d(x, kernel, 2, "SAME"))
    return tf.nn.conv2d(x, HEATS, 1, "SAME"), tf.nn.conv2d(x, OFFSETS, 1, "SAME")


def written(path: Path, function: Any = points, ends: Any = None) -> Path:
    path.write_bytes(tflite(function, (1, 16, 16, 3), ends=ends))
    return path


def widest_map(path: Path) -> int:
    """The last tensor of 24 channels, of the features before both outputs."""
    interpreter = Interpreter(str(path))
    return max(each["index"] for each in interpreter.get_tensor_details() if list(each["shape"]) == [1, 4, 4, 24])


def means(path: Path, tensor: int) -> np.ndarray:
    """The mean over positions of a tensor of the file in its own interpreter, for each photo."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    found = []
    for photo in PHOTOS:
        values = photo if given["dtype"] == np.uint8 else photo.astype("f4") / np.float32(127.5) - 1
        interpreter.set_tensor(given["index"], values[None].astype(given["dtype"]))
        interpreter.invoke()
        values = interpreter.get_tensor(tensor).astype(np.float64)
        scale, zero = next(each for each in interpreter.get_tensor_details() if each["index"] == tensor)["quantization"]
        found.append(((values - zero) * scale if scale else values).mean(axis=(0, 1, 2)))
    return np.stack(found)


def test_outputs_and_maps_before_them_are_told(tmp_path: Path) -> None:
    says = (
        r"has 2 outputs: \d+ '.*' \[1, 4, 4, 10\], \d+ .*--output-tensor, by name or number, .* maps, .* \[1, 4, 4, 24\]\."
    )
    with pytest.raises(ExportError, match=says):
        export_bundle(written(tmp_path / "points.tflite"), tmp_path / "made.bundle")


def test_one_map_is_refused_until_it_is_asked_for(tmp_path: Path) -> None:
    heats = written(tmp_path / "heats.tflite", lambda x: points(x)[0])
    with pytest.raises(ExportError, match=r"gives \d+ '.*' \[1, 4, 4, 5\], not one vector.*the mean is taken"):
        export_bundle(heats, tmp_path / "made.bundle")


@pytest.mark.parametrize("ends", [None, tf.uint8], ids=["float32", "uint8"])
def test_a_map_that_is_asked_for_is_averaged(tmp_path: Path, ends: Any) -> None:
    path, notes = written(tmp_path / "points.tflite", ends=ends), []
    tensor = widest_map(path)
    signed = {} if ends else {"mean": (127.5,), "scale": (1 / 127.5,)}
    options = ModelOptions(output_tensor=str(tensor), **signed)
    bundle = export_bundle(path, tmp_path / "made.bundle", on_note=notes.append, model_options=options)
    assert any("is the mean of" in note and "over its positions" in note for note in notes)
    found, wanted = embed_all(open_encoder(bundle), bundle.manifest.input_spec, PHOTOS), means(path, tensor)
    assert bundle.manifest.dim == 24
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.ptp(wanted) if ends else 1e-5)


def test_averages_in_integers_have_a_scale_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path / "sparse.tflite", lambda x: tf.nn.relu6(points(x)[1] - 4.0), tf.uint8)
    options = ModelOptions(output_tensor=str(Interpreter(str(path)).get_output_details()[0]["index"]))
    bundle = export_bundle(path, tmp_path / "made.bundle", model_options=options)
    assert ends_in_integers(bundle.model)
    export_target(bundle, tmp_path / "board", "tflm")
    steps = np.unique(embed_all(open_encoder(bundle), bundle.manifest.input_spec, PHOTOS))
    assert np.diff(steps).min() < 0.5 * 6 / 255  # a step of the map itself


def test_a_map_of_a_keras_model_is_averaged(tmp_path: Path) -> None:
    import keras

    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(12, 3, strides=2, activation="relu", name="features")(keras.layers.Rescaling(1 / 127.5, -1)(x))
    keras.Model(x, keras.layers.Conv2D(4, 1)(y)).save(tmp_path / "mine.keras")
    options = ModelOptions(output_tensor="features")
    dataset = photo_folder(tmp_path / "photos")
    bundle = export_bundle(tmp_path / "mine.keras", tmp_path / "made.bundle", calibration=dataset, model_options=options)
    assert (bundle.manifest.dim, bundle.manifest.quantization) == (12, "int8")
    assert isinstance(bundle.manifest.input_spec, ImageInput)
    assert bundle.manifest.parity["source"]["noise"] < 0.2
