"""MobileNetV2 (Sandler et al. 2018) and MobileNetV3 Small (Howard et al. 2019), as Keras has them, without a classifier.

Their input is normalized as all encoders' is, to (pixel − 128) / 128, and nothing is rescaled inside. Keras's ImageNet
weights were trained with (pixel − 127.5) / 127.5, which is nowhere farther away than 0.008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_meta.errors import TrainingError
from edge_meta.training.encoder_copies import with_fused_norms
from edge_meta.training.unit_length import UnitLength

Shape = tuple[int, int, int]
Application = Callable[..., keras.Model]

SMALLEST = 32  # pixels a side
LEARNED_AT = (96, 128, 160, 192, 224)  # pixels; MobileNetV2 has weights of its own for each
MOMENTUM = 0.99  # Keras's 0.999 hardly follows within the episodes of a run


def mobilenet_v2(input_shape: Shape, dim: int | None = None) -> keras.Model:
    """MobileNetV2: 1,280 values out, the mean over places, and 2.3 M parameters.

    Args:
        input_shape: (height, width, 3), height and width at least 32.
        dim: of a linear layer after the mean, whose values, brought to unit length, are the embedding; without one, the
            embedding is the mean itself.

    Raises:
        TrainingError: images are smaller or have no colours.
    """
    return _encoder("mobilenet_v2", input_shape, dim)


def mobilenet_v3_small(input_shape: Shape, dim: int | None = None) -> keras.Model:
    """MobileNetV3 Small, with squeeze-and-excitation and hard swish: 576 values out, and 0.9 M parameters.

    See `mobilenet_v2`.
    """
    return _encoder("mobilenet_v3_small", input_shape, dim)


def _v2(**how: Any) -> keras.Model:
    return keras.applications.MobileNetV2(include_top=False, **how)


def _v3_small(**how: Any) -> keras.Model:
    return keras.applications.MobileNetV3Small(include_top=False, include_preprocessing=False, **how)


APPLICATIONS: dict[str, Application] = {"mobilenet_v2": _v2, "mobilenet_v3_small": _v3_small}
"""By the names of the encoders that are made of them."""


def imagenet_weights(application: Application, image_size: int) -> list[NDArray[np.float32]]:
    """Let Keras download the weights of an application, or find them where it has kept them.

    Raises:
        TrainingError: they cannot be downloaded.
    """
    size = image_size if image_size in LEARNED_AT else LEARNED_AT[-1]
    try:
        weights: list[NDArray[np.float32]] = application(weights="imagenet", input_shape=(size, size, 3)).get_weights()
    # Keras raises a bare Exception where there is no network.
    except Exception as error:
        raise TrainingError(
            f"The ImageNet weights cannot be downloaded ({str(error).splitlines()[0]}).",
            "Where there is a network, save keras.applications.MobileNetV2(include_top=False), or whichever it is, as "
            "FILE.keras, and use --start FILE.keras.",
        ) from None
    return weights


def _encoder(name: str, input_shape: Shape, dim: int | None) -> keras.Model:
    if min(input_shape[:2]) < SMALLEST or input_shape[2] != 3:
        raise TrainingError(
            f"{name} does not take images of {'×'.join(map(str, input_shape))}.",
            f"Use --rgb and --image-size {SMALLEST} or more.",
        )
    inputs = keras.Input(input_shape, name="image")
    backbone = APPLICATIONS[name](weights=None, input_tensor=inputs)
    x = layers.GlobalAveragePooling2D(name="embedding" if dim is None else "pool")(backbone.output)
    if dim is not None:
        x = UnitLength(name="embedding")(layers.Dense(dim, name="projection")(x))
    return with_fused_norms(keras.Model(inputs, x, name=name), MOMENTUM)
