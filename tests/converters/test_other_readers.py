"""Exports in other programs: MediaPipe. `make check-targets` runs this.

It is too large for the environment that the other tests run in, so it has its own, named by an environment variable;
without it the tests are skipped. web/test_browser.py runs exports in LiteRT.js.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from converters import export_bundle
from converters.targets import imprint
from edge_meta import Classifier
from edge_meta.datasets import cache
from edge_meta.runtime.bundle import Bundle
from edge_meta.training import conv4

CLASSES, EXAMPLES, SIZE = 16, 12, 64

pytestmark = pytest.mark.skipif(
    "EDGE_META_MEDIAPIPE" not in os.environ, reason="MediaPipe is not installed; run: make check-targets"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real photographs by class."""
    archive = cache.folder() / "caltech101" / "caltech101_96px.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    folder = tmp_path_factory.mktemp("photos")
    taken: dict[str, int] = {}
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(name for name in opened.namelist() if name.endswith(".jpg")):
            label = name.split("/")[-2]
            if (label in taken or len(taken) < CLASSES) and taken.get(label, 0) < EXAMPLES:
                taken[label] = taken.get(label, 0) + 1
                (folder / label).mkdir(exist_ok=True)
                (folder / label / Path(name).name).write_bytes(opened.read(name))
    return folder


@pytest.fixture(scope="module", params=["int8", "float32"])
def bundle(request: pytest.FixtureRequest, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An encoder of colour photographs with random weights."""
    folder = tmp_path_factory.mktemp("bundle")
    keras.utils.set_random_seed(0)
    conv4((SIZE, SIZE, 3), filters=16).save(folder / "encoder.keras")
    return export_bundle(
        folder / "encoder.keras",
        folder / "photos.bundle",
        quantize=request.param,
        calibration=f"folder:{photos}",
        max_classes=8,
    )


@pytest.fixture(scope="module")
def images(bundle: Bundle, photos: Path) -> np.ndarray:
    """Photographs at the encoder's size, three of each class."""
    files = [file for label in sorted(photos.iterdir()) for file in sorted(label.iterdir())[-3:]]
    return np.stack([bundle.manifest.input_spec.read(file) for file in files])


def environment(variable: str) -> Path:
    if variable not in os.environ:
        pytest.skip(f"{variable} is not set; run: make check-targets")
    return Path(os.environ[variable])


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", one, other) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))


@pytest.fixture
def classifier(bundle: Bundle, tmp_path: Path):
    with Classifier.load(bundle, tmp_path / "store.db") as loaded:
        yield loaded


EMBED = """
import json, sys
import numpy as np
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

model, images = sys.argv[1], np.load(sys.argv[2])
options = vision.ImageEmbedderOptions(base_options=BaseOptions(model_asset_path=model))
with vision.ImageEmbedder.create_from_options(options) as embedder:
    results = [embedder.embed(mp.Image(image_format=mp.ImageFormat.SRGB, data=image)) for image in images]
print(json.dumps([np.asarray(result.embeddings[0].embedding).tolist() for result in results]))
"""

CLASSIFY = """
import json, sys
import numpy as np
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

model, images = sys.argv[1], np.load(sys.argv[2])
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
with vision.ImageClassifier.create_from_options(options) as classifier:
    results = [classifier.classify(mp.Image(image_format=mp.ImageFormat.SRGB, data=image)) for image in images]
best = [result.classifications[0].categories[0] for result in results]
print(json.dumps([[category.category_name, category.score] for category in best]))
"""


def in_mediapipe(script: str, model: Path, images: np.ndarray, folder: Path) -> list:
    python = environment("EDGE_META_MEDIAPIPE")
    np.save(folder / "images.npy", images)
    done = subprocess.run(
        [python, "-c", script, model, folder / "images.npy"], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def test_mediapipes_image_embedder_gives_the_runtimes_embeddings(
    bundle: Bundle, classifier: Classifier, images: np.ndarray, tmp_path: Path
) -> None:
    found = np.array(in_mediapipe(EMBED, bundle.path / "encoder.tflite", images, tmp_path))
    expected = np.stack([classifier.embed(image) for image in images])
    near = cosines(found, expected)
    assert near.min() >= (0.999 if bundle.manifest.quantization == "int8" else 0.99999)
    assert cosines(expected[1:], expected[:-1]).min() < 0.99  # which two other images would not reach


def test_mediapipes_image_classifier_names_what_was_enrolled(
    bundle: Bundle, classifier: Classifier, images: np.ndarray, photos: Path, tmp_path: Path
) -> None:
    for label in sorted(photos.iterdir())[:10]:
        classifier.enroll(label.name, sorted(label.iterdir())[:5])
    imprint(bundle, tmp_path / "store.db", tmp_path / "classifier.tflite")
    found = in_mediapipe(CLASSIFY, tmp_path / "classifier.tflite", images, tmp_path)
    expected = [classifier.classify(image).top for image in images]
    # MediaPipe normalizes pixels in another order, which is seen where two labels are all but equally near.
    clear = [index for index, top in enumerate(expected) if top[0].score - top[1].score > 1e-3]
    assert len(clear) > len(images) / 2
    assert [found[index][0] for index in clear] == [expected[index][0].label for index in clear]
    np.testing.assert_allclose([score for _, score in found], [top[0].score for top in expected], atol=0.01)
