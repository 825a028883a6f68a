"""Comparing a finished file with the model that was handed in: what the format does not explain is refused."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from support.models import photo_folder

from converters import export_bundle
from converters.external.agreement import agreement, require_agreement, varied_examples
from converters.options import ModelOptions
from edge_meta.errors import ExportError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput

RNG = np.random.default_rng(0)
EMBEDDINGS = (5.0 + RNG.normal(size=(40, 8))).astype("f4")
SIGNED = ModelOptions(mean=(127.5,), scale=(1 / 127.5,))


def normalized_in_one_piece() -> keras.Model:
    """Transpose a vector, divide by its length, transpose back: TFLite's converter normalizes each value by itself."""
    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(8, 5, strides=3, activation="relu")(x)
    column = keras.ops.transpose(keras.layers.Dense(16)(keras.layers.Flatten(name="features")(y)))
    column = column * keras.ops.rsqrt(keras.ops.sum(keras.ops.square(column)))
    return keras.Model(x, keras.ops.transpose(column))


def test_a_layer_that_is_converted_wrongly_is_refused(tmp_path: Path) -> None:
    normalized_in_one_piece().save(tmp_path / "wrong.keras")
    with pytest.raises(ExportError, match=r"does not compute what wrong\.keras does.*--output-tensor"):
        export_bundle(tmp_path / "wrong.keras", tmp_path / "made.bundle", quantize="float32", model_options=SIGNED)
    assert not (tmp_path / "made.bundle").exists()


def test_a_tensor_before_the_wrong_layer_is_exported(tmp_path: Path) -> None:
    normalized_in_one_piece().save(tmp_path / "wrong.keras")
    options = ModelOptions(mean=(127.5,), scale=(1 / 127.5,), output_tensor="features")
    made = export_bundle(tmp_path / "wrong.keras", tmp_path / "made.bundle", quantize="float32", model_options=options)
    assert made.manifest.parity["source"]["noise"] < 1e-4


def test_figures_are_in_the_manifest_and_in_the_card(tmp_path: Path) -> None:
    normalized_in_one_piece().save(tmp_path / "mine.keras")
    dataset = photo_folder(tmp_path / "photos")
    made = export_bundle(tmp_path / "mine.keras", tmp_path / "made.bundle", calibration=dataset, model_options=SIGNED)
    parity = json.loads((made.path / "manifest.json").read_text())["parity"]
    assert parity["source"]["inputs"] == dataset
    assert 0 < parity["source"]["noise"] < parity["source"]["explained"] < 0.2
    assert {entry["shot"] for entry in parity["episodes"]} == {1, 5}
    card = (made.path / "README.md").read_text()
    assert f"{parity['source']['noise']:.2g} of what tells these apart" in card
    assert "| episodes | handed in | exported | drop |" in card


def test_noise_is_a_share_of_what_tells_examples_apart() -> None:
    assert agreement(EMBEDDINGS, EMBEDDINGS)["noise"] == 0
    report = agreement(EMBEDDINGS, EMBEDDINGS + 0.1 * RNG.normal(size=EMBEDDINGS.shape).astype("f4"))
    assert report["noise"] == pytest.approx(0.1, rel=0.1)
    assert 0.9 < report["cosine"]["p0"] < report["cosine"]["p50"] < 1


def test_one_embedding_for_all_is_refused_at_any_cosine() -> None:
    constant = np.repeat(EMBEDDINGS.mean(axis=0)[None], 40, axis=0)
    with pytest.raises(ExportError, match="nearly one embedding for all"):
        require_agreement(EMBEDDINGS, constant, 0.7, "mine.keras", "image")
    with pytest.raises(ExportError, match=r"mine\.keras gives the same embedding for every image"):
        require_agreement(constant, constant, 1.0, "mine.keras", "image")


def test_values_that_are_not_finite_are_refused() -> None:
    broken = EMBEDDINGS.copy()
    broken[[3, 7], 0] = np.nan
    for pair in ((broken, EMBEDDINGS), (EMBEDDINGS, broken)):
        with pytest.raises(ExportError, match="not finite for 2 of 40 images"):
            require_agreement(*pair, 1.0, "mine.keras", "image")


@pytest.mark.parametrize(
    "spec", [ImageInput(16, 12, 3), AudioInput(4000, 8000), ArrayInput((6, 3)), ArrayInput((5,), "int32")]
)
def test_random_examples_differ_and_are_the_same_each_time(spec: object) -> None:
    examples = varied_examples(spec, ids=50)
    assert examples.shape == (64, *spec.shape)
    assert len(np.unique(examples.reshape(64, -1), axis=0)) == 64
    np.testing.assert_array_equal(examples, varied_examples(spec, ids=50))
