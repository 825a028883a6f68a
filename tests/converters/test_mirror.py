"""`export --mirror`: an image and its mirror image, embedded as one, on the workstation and in the file."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from support.device import cli

from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.training.encoder_copies import mirrored
from edge_meta.training.encoders import conv4


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    keras.utils.set_random_seed(0)
    return conv4((16, 16, 1), filters=8)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((5, 16, 16, 1)).astype(np.float32)


def test_two_views_stand_side_by_side(encoder: keras.Model, images: np.ndarray) -> None:
    both = mirrored(encoder)(images, training=False).numpy()
    views = [encoder(view, training=False).numpy() for view in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(both, np.concatenate(views, axis=1) / np.sqrt(2), rtol=1e-5, atol=1e-6)
    apart = [np.sum((embeddings[0] - embeddings[1]) ** 2) for embeddings in (both, *views)]
    assert apart[0] == pytest.approx((apart[1] + apart[2]) / 2, rel=1e-4)
    assert apart[1] != pytest.approx(apart[2], rel=1e-2)


def test_the_exported_file_does_the_same_with_one_set_of_weights(
    finished_run: Path, int8_bundle: Bundle, tmp_path: Path
) -> None:
    plain, output = int8_bundle, tmp_path / "both.bundle"
    sizes = ("--max-classes", 8, "--max-shots", 16, "--max-drop", 5)
    made = json.loads(cli("export", finished_run, "--output", output, "--mirror", *sizes, "--json").stdout)
    both = Bundle.open(output)
    assert made["dim"] == both.manifest.dim == 2 * plain.manifest.dim
    assert made["encoder_id"] != plain.manifest.encoder_id
    assert len(both.model) < len(plain.model) + 20_000
    assert both.manifest.training["mirror"] is True
    assert "mirror image" in (both.path / "README.md").read_text()

    image = np.random.default_rng(0).random((1, *plain.manifest.input_spec.shape)).astype(np.float32)
    alone, twice = open_encoder(plain), open_encoder(both)
    views = np.concatenate([alone.embed(image), alone.embed(np.ascontiguousarray(image[:, :, ::-1]))], axis=None)
    found = np.ravel(twice.embed(image))
    assert np.corrcoef(found, views)[0, 1] > 0.99
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(views) / np.sqrt(2), rel=0.05)
