"""Make the target tflm: the encoder for microcontrollers, as a file and as C++ to compile in.

TensorFlow Lite Micro runs it on this machine first, and must give what the bundle's own file gives with TFLite's reference
kernels. Faster kernels round differently: the manifest states the cosine to the runtime's embeddings. The same runs measure
the arena.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.targets import board_config, board_project, cpp
from converters.targets.base import TargetFiles
from converters.targets.float_encoder import FloatEncoder
from converters.targets.integer import IntegerEncoder
from edge_meta.errors import BackendError, ExportError
from edge_meta.inputs.array import ArrayInput
from edge_meta.inputs.image import ImageInput
from edge_meta.runtime.bundle import MODEL, Bundle
from edge_meta.runtime.interpreter import Encoder

PROBES = 8
LARGEST_ARENA = 1 << 26
MOST_STEPS = 1.01  # of the output's quantization
# With float32 ends: floats before the first int8 tensor may round to the next step of it.
LEAST_COSINE = 0.999

BoardEncoder: TypeAlias = IntegerEncoder | FloatEncoder


def make(bundle: Bundle, on_note: Callable[[str], None]) -> TargetFiles:
    """Make the file, and a header and a source that hold it.

    Raises:
        BackendError: tflite-micro is not installed.
        ExportError: see `encoder_of`; or TensorFlow Lite Micro does not run it, or not as TFLite does.
    """
    _runtime()
    encoder = encoder_of(bundle)
    on_note("running it in TensorFlow Lite Micro")
    cosine = require_agreement(encoder, bundle)
    arena = smallest_arena(encoder, bundle.manifest.input_spec.shape)
    ends = {}
    if isinstance(encoder, IntegerEncoder):
        ends = {"input": encoder.input.to_manifest(), "output": encoder.output.to_manifest()}
    facts = {
        "arena_bytes": arena,
        "cosine": round(cosine, 6),
        **ends,
        "operators": sorted({operator.name for operator in encoder.operators}),
    }
    sources = {
        cpp.HEADER: cpp.header(bundle.manifest, encoder, arena).encode(),
        cpp.SOURCE: cpp.source(encoder.model).encode(),
        **library(bundle, encoder),
    }
    files = {MODEL: encoder.model, **sources, board_project.NAME: board_project.archive(sources)}
    return TargetFiles(files, facts, cpp.USAGE.format(arena=arena, ends="int8" if ends else "float32"))


def encoder_of(bundle: Bundle) -> BoardEncoder:
    """Take the encoder for a board out of a bundle: int8 in and out for images, float32 for arrays.

    Raises:
        ExportError: the bundle takes other examples, or images with an encoder that is not in int8 from end to end.
    """
    input_spec = bundle.manifest.input_spec
    if isinstance(input_spec, ArrayInput) and input_spec.dtype == "float32":
        return FloatEncoder.of(bundle)
    if not isinstance(input_spec, ImageInput):
        raise ExportError(
            f"{bundle.path} takes {input_spec.noun}s, and tflm is for images and for arrays of float32.",
            "Use the bundle itself, or another target.",
        )
    encoder = IntegerEncoder.of(bundle)
    if encoder.input.dtype != "int8":
        raise ExportError(
            f"The encoder works in {encoder.input.dtype}, for which TensorFlow Lite Micro has no kernels.",
            "Use a model that was quantized to int8.",
        )
    return encoder


def library(bundle: Bundle, encoder: BoardEncoder) -> dict[str, bytes]:
    """The C library of `board/`, with its configuration for this encoder, by file name."""
    manifest, input_spec = bundle.manifest, bundle.manifest.input_spec
    taken = input_spec if isinstance(input_spec, ArrayInput) else math.prod(input_spec.shape)
    # What is normalized outside of the file is kept as float32, as EmbeddingOfOutput gives it.
    output = encoder.output if isinstance(encoder, IntegerEncoder) and manifest.normalization is None else None
    config = board_config.config(manifest.encoder_id, manifest.dim, output, manifest.rejection, taken)
    sources = {path.name: path.read_bytes() for path in sorted(board_config.LIBRARY.glob("*.[ch]*"))}
    return {**sources, board_config.NAME: config.encode()}


def embed(model: bytes, example: NDArray[Any], arena_bytes: int = LARGEST_ARENA) -> NDArray[Any]:
    """Embed an example (1, ...) in TensorFlow Lite Micro, quantized if the file takes int8; returns its output (D,).

    Raises:
        RuntimeError: the arena is too small, or an operator is missing.
        BackendError: tflite-micro is not installed.
    """
    interpreter = _runtime().Interpreter.from_bytes(model, arena_size=arena_bytes)
    interpreter.set_input(example, 0)
    interpreter.invoke()
    embedding: NDArray[Any] = interpreter.get_output(0)[0].copy()
    return embedding


def require_agreement(encoder: BoardEncoder, bundle: Bundle) -> float:
    """Compare embeddings of random examples in TensorFlow Lite Micro with those of the bundle's own file.

    Returns:
        The smallest cosine to the runtime's embeddings.

    Raises:
        ExportError: TensorFlow Lite Micro does not run the encoder, or differs from TFLite's reference kernels: of an int8
            output by more than a step of its quantization, else by a cosine below `LEAST_COSINE`.
    """
    exact = Interpreter(model_content=bundle.model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    exact.allocate_tensors()
    fast, rng = Encoder(bundle.model), np.random.default_rng(0)
    steps, to_exact, to_fast = [0.0], [1.0], [1.0]
    for _ in range(PROBES):
        example = _probe(bundle, rng)
        try:
            found = _embedded(encoder, example)
        except RuntimeError as error:
            raise ExportError(
                f"TensorFlow Lite Micro does not run this encoder ({error}).", "Use one of other layers."
            ) from None
        exact.set_tensor(exact.get_input_details()[0]["index"], example)
        exact.invoke()
        expected = exact.get_tensor(exact.get_output_details()[0]["index"])[0]
        if isinstance(encoder, IntegerEncoder):
            steps.append(float(np.abs(found - expected).max()) / encoder.output.scale)
        else:
            to_exact.append(_cosine(found, expected))
        to_fast.append(_cosine(found, fast.embed(example)))
    if max(steps) > MOST_STEPS:
        raise ExportError(
            f"TensorFlow Lite Micro's embeddings are up to {max(steps):.0f} quantization steps from TFLite's.",
            "Use an encoder of other layers.",
        )
    if min(to_exact) < LEAST_COSINE:
        raise ExportError(
            f"TensorFlow Lite Micro's embeddings have a cosine of {min(to_exact):.4f} to TFLite's.",
            "Use an encoder of other layers.",
        )
    return min(to_fast)


def _probe(bundle: Bundle, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random example (1, ...), as the bundle's file takes it."""
    input_spec = bundle.manifest.input_spec
    if isinstance(input_spec, ImageInput):
        return input_spec.normalize(rng.integers(0, 256, input_spec.shape).astype(np.uint8))[None]
    return rng.standard_normal((1, *input_spec.shape), np.float32)


def _embedded(encoder: BoardEncoder, example: NDArray[np.float32]) -> NDArray[np.float32]:
    if isinstance(encoder, FloatEncoder):
        return embed(encoder.model, example)
    return encoder.output.values(embed(encoder.model, encoder.input.quantized(example)))


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / max(lengths, np.finfo(np.float32).tiny))


def smallest_arena(encoder: BoardEncoder, shape: tuple[int, ...]) -> int:
    """Find the fewest bytes, a multiple of 16, in which TensorFlow Lite Micro runs the file on an example of that shape."""
    example = np.zeros((1, *shape), np.float32 if isinstance(encoder, FloatEncoder) else np.int8)
    too_few, enough = 0, LARGEST_ARENA
    while enough - too_few > 16:
        half = (too_few + enough) // 32 * 16
        try:
            embed(encoder.model, example, half)
            enough = half
        except RuntimeError:
            too_few = half
    return enough


def _runtime() -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        raise BackendError("Measuring the arena needs tflite-micro.", 'Run: pip install "edge-meta[tflm]"') from None
    return runtime
