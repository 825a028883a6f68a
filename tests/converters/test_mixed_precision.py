"""Models of mixed precision export under float32, and a failed conversion names its cause and its log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.workstation import save_npz

from converters import ModelOptions, export_bundle
from edge_meta.errors import ExportError
from edge_meta.runtime.interpreter import open_encoder

IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 1)).astype("f4")


def small(policy: str) -> Any:
    """An encoder (16, 16, 1) → (8,), made under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((16, 16, 1))
        inner = keras.layers.Conv2D(6, 3, activation="relu", name="inner")(inputs)
        pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(inner))
        return keras.Model(inputs, keras.layers.Dense(8, dtype="float32", name="embedding")(pooled))
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_mixed_model_embeds_in_float32_as_it_does_itself(tmp_path: Path, policy: str) -> None:
    model = small(policy)
    model.save(tmp_path / "mixed.keras")
    options = ModelOptions(mean=(127.5,), scale=(1 / 127.5,))
    bundle = export_bundle(tmp_path / "mixed.keras", tmp_path / "made.bundle", quantize="float32", model_options=options)
    encoder, wanted = open_encoder(bundle), model(IMAGES, training=False).numpy()
    found = np.stack([encoder.embed(image[None]) for image in IMAGES])
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_a_mixed_encoder_of_images_becomes_int8(tmp_path: Path) -> None:
    small("mixed_float16").save(tmp_path / "mixed.keras")
    data = save_npz(tmp_path / "patterns.npz")
    bundle = export_bundle(tmp_path / "mixed.keras", tmp_path / "made.bundle", calibration=data, max_drop=100.0)
    assert bundle.manifest.quantization == "int8"


def failure(source: Path, tmp_path: Path) -> tuple[ExportError, str]:
    """The error of an export, and its log."""
    with pytest.raises(ExportError) as caught:
        export_bundle(source, tmp_path / "made.bundle", quantize="float32")
    assert "\n" not in str(caught.value)
    named = re.search(r"The converter's log is (\S+)", caught.value.remedy)
    assert named
    log = Path(named[1])
    try:
        return caught.value, log.read_text("utf-8")
    finally:
        log.unlink()


def test_a_savedmodel_of_mixed_precision_is_refused(tmp_path: Path) -> None:
    small("mixed_float16").export(tmp_path / "mixed", verbose=False)
    error, log = failure(tmp_path / "mixed", tmp_path)
    assert re.search(r"mixed cannot be converted: it computes in 16-bit floats \(.*Conv2D", error.cause)
    assert "set_dtype_policy" in error.remedy
    assert "xf16" in log


def test_operators_that_tflite_lacks_are_named(tmp_path: Path) -> None:
    class Inverse(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 12))])
        def __call__(self, x: Any) -> Any:
            return tf.math.erfinv(x)

    module = Inverse()
    tf.saved_model.save(module, str(tmp_path / "inverse"), signatures=module.__call__)
    error, log = failure(tmp_path / "inverse", tmp_path)
    assert error.cause.endswith("inverse cannot be converted: TFLite has no operators for Erfinv.")
    assert len(log.splitlines()) > 1
