"""Encoders of sound and of series: a front end, and the network behind it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edge_meta.training.encoder_copies import BFLOAT16, in_precision
from edge_meta.training.encoders import conv4
from edge_meta.training.front_ends import FRONT_ENDS, split_front_end
from edge_meta.training.keyword_net import dscnn
from edge_meta.training.motion import tcn
from edge_meta.training.series_features import SeriesFeatures

MAKERS = {
    "sound": lambda: dscnn((16000,), dim=8),
    "motion": lambda: tcn((128, 6), motion=True),
    "series": lambda: tcn((128, 2), dim=8),
}


@pytest.mark.parametrize("sense", MAKERS)
def test_the_parts_give_what_the_whole_gives(sense: str) -> None:
    encoder = MAKERS[sense]()
    parts = split_front_end(encoder)
    assert parts is not None
    examples = np.random.default_rng(0).normal(0, 0.1, (2, *encoder.input_shape[1:])).astype(np.float32)
    front, network = parts
    np.testing.assert_allclose(network(front(examples)), encoder(examples), rtol=1e-5, atol=1e-6)


def test_an_encoder_of_images_has_no_front_end() -> None:
    assert split_front_end(conv4()) is None


def test_a_front_end_stays_in_float32() -> None:
    encoder = in_precision(dscnn((16000,), dim=8), BFLOAT16)
    (front,) = (layer for layer in encoder.layers if isinstance(layer, FRONT_ENDS))
    assert front.compute_dtype == "float32"


def test_series_features_ignore_units_and_offsets() -> None:
    series = np.random.default_rng(0).normal(size=(1, 64, 3)).astype(np.float32)
    changed = series * np.float32([1, 9.81, 100]) + np.float32([5, 0, -3])
    features = SeriesFeatures()
    assert features(series).shape == (1, 64, 1, 3)
    np.testing.assert_allclose(features(changed), features(series), atol=1e-3)


def test_series_features_of_a_still_channel_are_zero() -> None:
    assert not keras.ops.convert_to_numpy(SeriesFeatures()(np.full((1, 64, 1), 9.81, np.float32))).round(2).any()
