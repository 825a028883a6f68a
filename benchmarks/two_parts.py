"""Export a float32 front end and an int8 network behind it as one bundle, for the recipes of words and gestures."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from converters import ModelOptions, export_bundle
from converters.external.source import load_function, to_tflite
from converters.tflite.edit import serialize
from converters.tflite.model import parse
from edge_meta.runtime.bundle import MANIFEST, Bundle
from edge_meta.types import Array


def export_two_parts(
    front: keras.layers.Layer,
    network: keras.Model,
    examples: Array,
    calibration: tuple[NDArray[np.generic], NDArray[np.str_]],
    options: ModelOptions,
    output: Path,
) -> Bundle:
    """Write a bundle.

    Its calibration weighs as many labels of a store as it has classes: of words and gestures, a few labels tell less of
    strangers than it does.

    Args:
        front: from the examples as a device gives them to the network's input.
        examples: whose ranges the network's int8 is fitted to, float32 (n, ...).
        calibration: examples and their classes, which neither part was trained on, for the limits of unknown.
        output: the bundle's folder; the parts and the calibration data are written beside it.
    """
    folder = output.parent
    inputs = keras.Input(examples.shape[1:], name="example")
    keras.Model(inputs, front(inputs)).save(folder / "front.keras")
    network.save(folder / "network.keras")
    parts = []
    for name, quantize in (("front", "float32"), ("network", "int8")):
        path = folder / f"{name}.keras"
        function, _ = load_function(path)
        samples = [[front(example[None]).numpy()] for example in examples] if quantize == "int8" else None
        parts.append(folder / f"{name}.tflite")
        parts[-1].write_bytes(_compact(to_tflite(path, function, quantize, samples)))
    x, y = calibration
    np.savez(folder / "calibration.npz", x=x, y=y, split=np.full(len(y), "train"))
    export_bundle(
        parts, output, calibration=f"npz:{folder / 'calibration.npz'}", model_options=options, overwrite=True, on_note=print
    )
    manifest = json.loads((output / MANIFEST).read_text())
    manifest["rejection"]["prior_labels"] = float(len(set(y)))
    (output / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return Bundle.open(output)


def _compact(content: bytes) -> bytes:
    """The file without the names of its tensors and the ranges behind its scales: a tenth of a small network's."""
    model = parse(content)
    for graph in model.subgraphs:
        for number, tensor in enumerate(graph.tensors):
            tensor.name = f"t{number}".encode()
            if tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = None
    return serialize(model)
