"""Encoders of sound and of series: a front end of fixed arithmetic, which stays in float32, and the network behind it."""

from __future__ import annotations

import keras

from edge_meta.training.log_mel import LogMel
from edge_meta.training.motion import MotionFeatures
from edge_meta.training.series_features import SeriesFeatures

FRONT_ENDS = (LogMel, MotionFeatures, SeriesFeatures)


def split_front_end(encoder: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """Split an encoder behind its front end, into two models; None for one that has none."""
    for layer in encoder.layers:
        if isinstance(layer, FRONT_ENDS):
            return keras.Model(encoder.input, layer.output), keras.Model(layer.output, encoder.output, name=encoder.name)
    return None
