"""Convert a Keras encoder to one static .tflite file with all signatures: the encoder quantized, the heads in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converters.conversion_errors import conversion_errors_named
from converters.quantization.formats import FORMATS
from converters.quantization.signatures import embed_signature, signatures
from converters.tflite.edit import join
from converters.tflite.model import parse
from converters.tflite.splice import NetworkCopier
from converters.tflite.tail import Tail
from edge_meta.datasets import Dataset
from edge_meta.training.front_ends import split_front_end

RANDOM_SEED = 7
RANGE_EXAMPLES = 300


def convert(
    encoder: keras.Model,
    quantize: str,
    calibration: NDArray[np.float32] | None,
    max_classes: int,
    max_shots: int,
) -> bytes:
    """Convert an encoder and its heads.

    A front end stays in float32 in all formats.

    Args:
        encoder: from (batch, ...) to (batch, D).
        quantize: one of `FORMATS`. int8 weights are per channel; inputs and outputs stay float32, and so do the heads.
        calibration: normalized examples (n, ...), for formats that are calibrated; None for an encoder that has its
            ranges in it, as `quantize_aware` makes them.
        max_classes, max_shots: the heads' static sizes.

    Returns:
        The file's bytes.
    """
    module, functions = signatures(encoder, max_classes, max_shots)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        embed = _two_parts(encoder, quantize, calibration) or _convert(folder, ["embed"], quantize, calibration)
        heads = _convert(folder, sorted(functions.keys() - {"embed"}), "float32", None)
    return join(embed, heads)


def _two_parts(encoder: keras.Model, quantize: str, calibration: NDArray[np.float32] | None) -> bytes | None:
    """Convert a front end in float32, and the network behind it in the format; None for an encoder of one part."""
    parts = split_front_end(encoder)
    if parts is None:
        return None
    front, network = parts
    if calibration is not None:
        calibration = np.concatenate([front(example[None]).numpy() for example in calibration])
    model, other = parse(convert_encoder(front)), parse(convert_encoder(network, quantize, calibration))
    joined = Tail(model)
    joined.tensor = NetworkCopier(model, other).copy(joined.tensor)
    return joined.save()


def convert_encoder(
    encoder: keras.Model, quantize: str = "float32", calibration: NDArray[np.float32] | None = None
) -> bytes:
    """Convert an encoder to a file with the signature `embed` alone; see `convert`."""
    module = tf.Module()
    functions = {"embed": embed_signature(module, encoder)}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        return _convert(folder, ["embed"], quantize, calibration)


def front_operators(encoder: keras.Model) -> int:
    """The number of an encoder's first operators that are its front end's, and stay in float32."""
    parts = split_front_end(encoder)
    return 0 if parts is None else len(parse(convert_encoder(parts[0])).subgraphs[0].operators)


def range_examples(data: Dataset) -> NDArray[Any]:
    """Choose at most 300 examples, (n, ...), that the ranges of activations are measured on."""
    rng = np.random.default_rng(RANDOM_SEED)
    count = min(RANGE_EXAMPLES, len(data.examples))
    chosen: NDArray[Any] = data.examples[rng.choice(len(data.examples), count, replace=False)]
    return chosen


def _convert(folder: str, keys: list[str], quantize: str, calibration: NDArray[np.float32] | None) -> bytes:
    """Convert some of a SavedModel's signatures."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=keys)
    if quantize != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Dense layers quantized per channel would need a newer operator than tflite-runtime 2.14 has.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int16x8":
        wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide, tf.lite.OpsSet.TFLITE_BUILTINS]
    if FORMATS[quantize].calibrated and calibration is not None:

        def samples() -> Iterator[tuple[str, dict[str, NDArray[np.float32]]]]:
            for image in calibration:
                yield "embed", {"image": image[None]}

        converter.representative_dataset = samples
    with conversion_errors_named("The encoder"):
        converted: bytes = converter.convert()
    return converted
