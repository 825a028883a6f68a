"""Load other makers' Keras models and SavedModels, and convert them to .tflite."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from converters.conversion_errors import conversion_errors_named
from converters.external.keras_file import in_float32
from converters.quantization.formats import FORMATS
from edge_meta.errors import ExportError


def is_saved_model(path: Path) -> bool:
    """Tell whether a path is a SavedModel's folder."""
    return (path / "saved_model.pb").is_file()


def to_tflite(
    path: Path, function: Any, quantize: str = "float32", samples: Sequence[Sequence[NDArray[Any]]] | None = None
) -> bytes:
    """Convert a function that `load_function` gave, or a part of one.

    Args:
        path: of the model, for messages.
        quantize: one of `FORMATS`.
        samples: values of all its inputs, each with a batch of one, which formats that need them are calibrated on.

    Raises:
        ExportError: it has layers without operators of TFLite's own.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if quantize != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Dense layers quantized per channel would need a newer operator than tflite-runtime 2.14 has.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int16x8":
        wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide, tf.lite.OpsSet.TFLITE_BUILTINS]
    if FORMATS[quantize].calibrated and samples is not None:
        converter.representative_dataset = lambda: (list(sample) for sample in samples)
    with conversion_errors_named(str(path)):
        # Inputs stay float32, and need none.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        model: bytes = converter.convert()
    return model


def load_function(path: Path, shape: tuple[int, ...] | None = None) -> tuple[Any, list[str]]:
    """Load a SavedModel's folder or a .keras file as one function with its variables frozen.

    No code in a .keras file is run: Keras's safe mode refuses such a file.

    Args:
        shape: of an input, without the batch, where the model leaves it open.

    Returns:
        The function, from inputs with a batch of one to a list of outputs, and the outputs' names in the SavedModel.

    Raises:
        ExportError: it cannot be read, or it assigns its variables.
    """
    try:
        called, specs, names = _keras_model(path) if path.suffix == ".keras" else _saved_model(path)
        # Recurrent layers can be converted for a batch of one only.
        specs = [tf.TensorSpec(_one(spec.shape, shape), spec.dtype, name=_plain(spec.name)) for spec in specs]
        traced = tf.function(called).get_concrete_function(*specs)
        return convert_variables_to_constants_v2(traced, lower_control_flow=False), names
    # Both loaders raise errors of any type when parsing fails.
    except Exception as error:
        if re.search(r"Assign\w*VariableOp", str(error)):
            raise ExportError(
                f"{path} assigns its variables, so an embedding depends on what came before.",
                "Save it without state (stateful=False), or convert it to .tflite, whose variables start anew each time.",
            ) from None
        raise ExportError(
            f"{path} is not a model that can be read ({_reason(error)}).",
            "Run model.export('folder') where its code is, and export that folder.",
        ) from None


def _keras_model(path: Path) -> tuple[Callable[..., Any], list[Any], list[str]]:
    # Keras names its safe mode as the reason when a file has code.
    with in_float32(path) as wide:
        model = keras.saving.load_model(wide, compile=False, safe_mode=True)
    several = len(model.inputs) > 1
    return (
        lambda *inputs: tf.nest.flatten(model(list(inputs) if several else inputs[0], training=False)),
        list(model.inputs),
        list(getattr(model, "output_names", [])),
    )


def _saved_model(path: Path) -> tuple[Callable[..., Any], list[Any], list[str]]:
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    key = next((key for key in ("embed", "serving_default") if key in signatures), None)
    if key is None and len(signatures) != 1:
        raise ValueError(f"it has the signatures {', '.join(signatures) or 'none'}, and nothing says which one embeds")
    signature = signatures[key or next(iter(signatures))]
    taken = signature.structured_input_signature[1]
    names = sorted(signature.structured_outputs)

    def called(*inputs: Any) -> list[Any]:
        # Held by this function: the loaded model's variables live as long as the model.
        given = loaded.signatures[key or next(iter(signatures))](**dict(zip(taken, inputs, strict=True)))
        return [given[name] for name in names]

    return called, [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in taken.items()], names


def _one(shape: Any, wanted: tuple[int, ...] | None) -> list[int | None]:
    """A tensor's shape with a batch of one, and open sizes as asked."""
    sizes = list(shape)
    if not sizes:
        return sizes
    if sizes[0] is None and len(sizes) > 1:
        sizes[0] = 1
    if wanted is not None and len(sizes) == 1 + len(wanted):
        sizes[1:] = [given if size is None else size for size, given in zip(sizes[1:], wanted, strict=True)]
    return sizes


def _plain(name: str | None) -> str | None:
    """A name that TensorFlow takes for an argument."""
    return None if name is None else re.sub(r"\W", "_", name)


def _reason(error: Exception) -> str:
    """The first line with a cause; Keras puts an error inside a layer behind a long description of the layer."""
    lines = str(error).split("Exception encountered: ")[-1].splitlines()
    return next((line.strip().rstrip(".") for line in lines if line.strip()), type(error).__name__)[:200]
