"""The runtime normalizes an encoder's output by the centre and the scale that the manifest has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_meta.errors import BundleError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.output_normalization import OutputNormalization

CENTRED = OutputNormalization(2.5, (1.0, -2.0, 0.5))


def test_centred_outputs_have_one_length() -> None:
    outputs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    embeddings = CENTRED.apply(outputs)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 2.5, rtol=1e-6)
    centred = outputs - np.array(CENTRED.centre, np.float32)
    cosines = (embeddings * centred).sum(axis=1) / np.linalg.norm(centred, axis=1) / 2.5
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-6)
    assert embeddings.dtype == np.float32


def test_an_output_at_the_centre_is_zero() -> None:
    assert CENTRED.apply(np.array(CENTRED.centre, np.float32)).tolist() == [0, 0, 0]


def test_without_a_centre_outputs_are_scaled_alone() -> None:
    assert OutputNormalization(2.0).apply(np.float32([1, 2, 3])).tolist() == [2, 4, 6]


@pytest.mark.parametrize("centred", [True, False])
def test_a_manifest_keeps_the_normalization(bundle: Bundle, centred: bool) -> None:
    centre = tuple(float(value) for value in np.arange(bundle.manifest.dim)) if centred else None
    manifest = replace(bundle.manifest, normalization=OutputNormalization(1.5, centre))
    assert Manifest.from_json(manifest.to_json(), "it").normalization == manifest.normalization


def test_a_manifest_without_it_is_as_it_was(bundle: Bundle) -> None:
    assert bundle.manifest.normalization is None
    assert '"centre"' not in bundle.manifest.to_json()
    assert Manifest.from_json(bundle.manifest.to_json(), "it") == bundle.manifest


@pytest.mark.parametrize(
    "wrong",
    [
        OutputNormalization(0.0),
        OutputNormalization(1e31),
        OutputNormalization(1.0, (1.0, 2.0)),
        OutputNormalization(1.0, (1e31,) * 64),
    ],
)
def test_a_normalization_out_of_range_is_refused(bundle: Bundle, wrong: OutputNormalization) -> None:
    manifest = replace(bundle.manifest, normalization=wrong)
    with pytest.raises(BundleError, match="is damaged"):
        Manifest.from_json(manifest.to_json(), "it")
