"""Every format of encoder.tflite in this venv's interpreter, next to float32, and what is said when one is refused.

formats/NAME.tflite are conversions by `converters.quantization.convert.convert` of one untrained encoder of 12×12 images,
with two convolutions, a depthwise one and a dense layer; its heads are for 3 labels and 4 shots.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.heads import linear
from edge_meta.runtime.interpreter import Encoder

FORMATS = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "formats").iterdir()}
# The least cosine between a format's embeddings and float32's.
COSINE = {"float32": 0.999999, "float16": 0.9999, "dynamic": 0.999, "int8": 0.99, "int16x8": 0.998}


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return np.random.default_rng(1).random((20, 1, 12, 12, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def exact(images: NDArray[np.float32]) -> NDArray[np.float32]:
    encoder = Encoder(FORMATS["float32"])
    return np.stack([encoder.embed(image) for image in images])


@pytest.mark.parametrize("name", COSINE)
def test_every_format_runs_and_embeds_alike(name: str, images: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    encoder = Encoder(FORMATS[name])
    found = np.stack([encoder.embed(image) for image in images])
    cosine = np.sum(found * exact, axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > COSINE[name]
    assert (name == "float32") == np.array_equal(found, exact)


@pytest.mark.parametrize("name", COSINE)
def test_the_heads_are_in_float32_in_every_format(name: str, exact: NDArray[np.float32]) -> None:
    interpreter = Encoder(FORMATS[name]).interpreter
    prototypes, counts = exact[:3], np.array([1, 2, 0], np.float32)
    given = {"embedding": exact[3:4], "prototypes": prototypes, "counts": counts}
    found = interpreter.get_signature_runner("score")(**given)
    distances = linear.squared_distances(exact[3].astype(np.float64), prototypes[:2].astype(np.float64))
    np.testing.assert_allclose(found["distances"][0, :2], distances, rtol=1e-5)
    np.testing.assert_allclose(found["scores"][0, :2], linear.softmax(-distances), rtol=1e-5)
    assert (found["distances"][0, 2], found["scores"][0, 2]) == (np.finfo(np.float32).max, 0.0)
