"""Calibration shuts no door: a file in integers stays so, and every target for integers takes it."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.models import photo_folder, tflite

from converters import export_bundle
from converters.targets import export_target, imprint
from converters.targets.base import normalized_in_file
from converters.targets.integer import IntegerEncoder
from converters.tflite.edit import ends_in_integers
from edge_meta import Classifier
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder, open_encoder

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 24)).astype("f4") / 5
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)


def pooled(x: Any) -> Any:
    return 3.0 + tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 2, "SAME")), axis=(1, 2), keepdims=True)


@pytest.fixture(scope="module", params=[tf.int8, tf.uint8], ids=["int8 ends", "uint8 ends"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network that its maker quantized, calibrated here on photos."""
    folder = tmp_path_factory.mktemp("integers")
    (folder / "net.tflite").write_bytes(tflite(pooled, (1, 16, 16, 3), ends=request.param, seen=(0, 255)))
    return export_bundle(folder / "net.tflite", folder / "net.bundle", calibration=photo_folder(folder / "photos"))


def test_a_calibrated_file_keeps_its_integer_ends(bundle: Bundle) -> None:
    assert ends_in_integers(bundle.model)
    fields = json.loads((bundle.path / "manifest.json").read_text())["embedding"]
    assert set(fields) == {"dim", "metric", "scale", "centre"}
    assert len(fields["centre"]) == fields["dim"] == 24


def test_the_runtime_centres_what_the_file_gives(bundle: Bundle, tmp_path: Path) -> None:
    outside, values = bundle.manifest.normalization, bundle.manifest.input_spec.normalize(PIXELS)
    assert outside is not None
    raw = np.stack([Encoder(bundle.model).embed(value[None]) for value in values])
    centred = raw - np.array(outside.centre, np.float32)
    wanted = outside.scale * centred / np.linalg.norm(centred, axis=1, keepdims=True)
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        found = [classifier.embed(pixels) for pixels in PIXELS]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "target",
    [pytest.param("tflm", marks=pytest.mark.skipif(find_spec("tflite_micro") is None, reason="no tflite-micro")), "edgetpu"],
)
def test_targets_for_integers_take_it(bundle: Bundle, tmp_path: Path, target: str) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", target)
    assert made.manifest.target["input"]["dtype"] == made.manifest.target["output"]["dtype"] == "int8"
    assert made.manifest.normalization == bundle.manifest.normalization
    assert made.manifest.encoder_id == bundle.manifest.encoder_id


PROGRAM = """
#include <cstdio>
#include "encoder.h"

int main() {
  std::int8_t output[edge_meta::kDim];
  float embedding[edge_meta::kDim];
  for (int i = 0; i < edge_meta::kDim; ++i) output[i] = static_cast<std::int8_t>(7 * i - 80);
  edge_meta::EmbeddingOfOutput(output, embedding);
  for (float value : embedding) std::printf("%.9g ", value);
}
"""


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="no tflite-micro")
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_board_centres_as_the_runtime_does(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "made.bundle", "tflm")
    (tmp_path / "main.cc").write_text(PROGRAM)
    command = [
        "g++",
        "-std=c++17",
        "-DTF_LITE_STATIC_MEMORY",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        f"-I{made.path}",
    ]
    subprocess.run([*command, "main.cc", "-o", "main"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.split()
    outputs = IntegerEncoder.of(bundle).output.values((7 * np.arange(24) - 80).astype(np.int8))
    np.testing.assert_allclose(
        np.array(found, np.float32), bundle.manifest.normalization.apply(outputs), rtol=1e-5, atol=1e-6
    )
    # What the board stores is then float32, since the steps of int8 are those of the output.
    assert "#define EM_INT8 0" in (made.path / "edge_meta_config.h").read_text()


def test_targets_that_know_no_centre_have_it_in_the_file(bundle: Bundle, tmp_path: Path) -> None:
    made = export_target(bundle, tmp_path / "page.bundle", "web")
    assert made.manifest.normalization is None
    value = bundle.manifest.input_spec.normalize(PIXELS[:1])
    np.testing.assert_allclose(open_encoder(made).embed(value), open_encoder(bundle).embed(value), rtol=1e-4, atol=1e-5)
    with Classifier.load(bundle, tmp_path / "store.db") as classifier:
        classifier.enroll("one", PIXELS[:1])
        classifier.enroll("two", PIXELS[1:2])
    assert imprint(bundle, tmp_path / "store.db", tmp_path / "two.tflite") == ("one", "two")
    assert normalized_in_file(made).model == made.model


def test_another_centre_makes_another_encoder(bundle: Bundle, tmp_path: Path) -> None:
    source = bundle.path.parent / "net.tflite"
    plain = export_bundle(source, tmp_path / "plain.bundle")
    assert plain.manifest.encoder_id != bundle.manifest.encoder_id
    assert plain.manifest.normalization is None
