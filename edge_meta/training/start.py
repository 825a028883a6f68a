"""The weights that a run starts from: of a run, a file, the shipped bundle of photos, or Keras's ImageNet networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import TrainingError
from edge_meta.training.efficientnet_lite import start_from_port
from edge_meta.training.mobilenet import APPLICATIONS, imagenet_weights
from edge_meta.training.run import RunFolder, load_encoder
from edge_meta.training.shipped_start import OBJECTS, start_from_objects

IMAGENET = "imagenet"


def start_from(start: str, encoder: keras.Model, name: str, images: NDArray[np.uint8]) -> None:
    """Set an encoder's weights.

    Args:
        start: the folder of a run; the `.pth` of an EfficientNet-Lite; a `.keras` or `.weights.h5` of the same network, with
            or without what follows its last convolution; IMAGENET; or OBJECTS, see `start_from_objects`.
        name: of the encoder, one of `choices.ENCODERS`.
        images: for training, uint8 (n, height, width, channels).

    Raises:
        TrainingError: the weights cannot be read or downloaded, or are of other layers.
    """
    if start == IMAGENET:
        if name not in APPLICATIONS:
            raise TrainingError(
                f"Keras has no ImageNet weights for {name}.",
                f"Use --encoder {' or '.join(APPLICATIONS)}; for photo12 and efficientnet_lite0, --start FILE.pth.",
            )
        _set_leading(encoder, imagenet_weights(APPLICATIONS[name], encoder.input_shape[1]), "Keras's network")
    elif start == OBJECTS:
        start_from_objects(encoder, name, images)
    elif start.endswith(".pth"):
        start_from_port(encoder, start)
    elif start.endswith(".keras"):
        _set_leading(encoder, load_encoder(Path(start)).get_weights(), start)
    elif start.endswith(".weights.h5"):
        _set_leading(encoder, _read_weights(Path(start), encoder, name), start)
    else:
        _start_from_run(RunFolder(start), encoder)


def _start_from_run(run: RunFolder, encoder: keras.Model) -> None:
    run.facts()
    try:
        encoder.set_weights(run.load_encoder().get_weights())
    except ValueError:
        raise TrainingError(
            f"The encoder of {run.path} has other layers than the one to be trained.",
            "Start from a run of the same encoder, image size and colours.",
        ) from None


def _read_weights(path: Path, encoder: keras.Model, name: str) -> list[NDArray[np.float32]]:
    """The arrays of a file that Keras's `save_weights` wrote, which only a network of the same layers can read."""
    if not path.is_file():
        raise TrainingError(f"{path} does not exist.", "Check the path.")
    network = encoder
    if name in APPLICATIONS:
        network = APPLICATIONS[name](weights=None, input_shape=encoder.input_shape[1:])
    before = [variable.numpy() for variable in encoder.weights]
    try:
        network.load_weights(path)
    # A damaged file, or one of another network, fails in whichever part of Keras or h5py trips over it.
    except Exception as error:
        encoder.set_weights(before)
        raise TrainingError(
            f"{path} has no weights for {name} ({str(error).splitlines()[0]}).",
            "Save the network without its classifier (include_top=False), or use a .keras file.",
        ) from None
    weights: list[NDArray[np.float32]] = network.get_weights()
    return weights


def _set_leading(encoder: keras.Model, arrays: Sequence[NDArray[np.float32]], source: str) -> None:
    """Set all of an encoder's weights, or all before its last linear layer. More arrays are of a classifier: leave them."""
    own = encoder.get_weights()
    last = [layer for layer in encoder.layers if layer.name == "projection"]
    for count in (len(own), len(own) - len(last and last[0].weights)):
        if [array.shape for array in arrays[:count]] == [array.shape for array in own[:count]]:
            encoder.set_weights([*arrays[:count], *own[count:]])
            return
    raise TrainingError(f"{source} has other layers than {encoder.name}.", "Name a file of the same network.")
