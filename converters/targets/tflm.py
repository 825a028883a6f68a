"""Make the target tflm: the encoder for microcontrollers, as an int8 file and as C++ to compile in.

TensorFlow Lite Micro runs it on this machine first, and must give what the bundle's own file gives with TFLite's reference
kernels. Faster kernels round differently: the manifest states the cosine to the runtime's embeddings. The same runs measure
the arena.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.targets import board_config, board_project, cpp
from converters.targets.base import TargetFiles, image_input
from converters.targets.integer import IntegerEncoder
from edge_meta.errors import BackendError, ExportError
from edge_meta.runtime.bundle import MODEL, Bundle
from edge_meta.runtime.interpreter import Encoder

PROBES = 8
LARGEST_ARENA = 1 << 26
MOST_STEPS = 1.01  # of the output's quantization


def make(bundle: Bundle, on_note: Callable[[str], None]) -> TargetFiles:
    """Make the int8 file, and a header and a source that hold it.

    Raises:
        BackendError: tflite-micro is not installed.
        ExportError: the encoder is not in int8, or TensorFlow Lite Micro does not run it, or not as TFLite does.
    """
    _runtime()
    input_spec, encoder = image_input(bundle, "tflm"), IntegerEncoder.of(bundle)
    if encoder.input.dtype != "int8":
        raise ExportError(
            f"The encoder works in {encoder.input.dtype}, for which TensorFlow Lite Micro has no kernels.",
            "Use a model that was quantized to int8.",
        )
    on_note("running it in TensorFlow Lite Micro")
    cosine = require_agreement(encoder, bundle)
    arena = smallest_arena(encoder, input_spec.shape)
    facts = {
        "arena_bytes": arena,
        "cosine": round(cosine, 6),
        "input": encoder.input.to_manifest(),
        "output": encoder.output.to_manifest(),
        "operators": sorted({operator.name for operator in encoder.operators}),
    }
    sources = {
        cpp.HEADER: cpp.header(bundle.manifest, input_spec, encoder, arena).encode(),
        cpp.SOURCE: cpp.source(encoder.model).encode(),
        **library(bundle, encoder),
    }
    files = {MODEL: encoder.model, **sources, board_project.NAME: board_project.archive(sources)}
    return TargetFiles(files, facts, cpp.USAGE.format(arena=arena))


def library(bundle: Bundle, encoder: IntegerEncoder) -> dict[str, bytes]:
    """The C library of `board/`, with its configuration for this encoder, by file name."""
    manifest = bundle.manifest
    pixels = math.prod(image_input(bundle, "tflm").shape)
    # What is normalized outside of the file is kept as float32, as EmbeddingOfOutput gives it.
    output = encoder.output if manifest.normalization is None else None
    config = board_config.config(manifest.encoder_id, manifest.dim, output, manifest.rejection, pixels)
    sources = {path.name: path.read_bytes() for path in sorted(board_config.LIBRARY.glob("*.[ch]*"))}
    return {**sources, board_config.NAME: config.encode()}


def embed(model: bytes, image: NDArray[np.int8], arena_bytes: int = LARGEST_ARENA) -> NDArray[np.int8]:
    """Embed a quantized image (1, H, W, C) in TensorFlow Lite Micro; returns int8 (D,).

    Raises:
        RuntimeError: the arena is too small, or an operator is missing.
        BackendError: tflite-micro is not installed.
    """
    interpreter = _runtime().Interpreter.from_bytes(model, arena_size=arena_bytes)
    interpreter.set_input(image, 0)
    interpreter.invoke()
    embedding: NDArray[np.int8] = interpreter.get_output(0)[0].copy()
    return embedding


def require_agreement(encoder: IntegerEncoder, bundle: Bundle) -> float:
    """Compare embeddings of random images in TensorFlow Lite Micro with those of the bundle's own file.

    Returns:
        The smallest cosine to the runtime's embeddings.

    Raises:
        ExportError: TensorFlow Lite Micro does not run the encoder, or differs from TFLite's reference kernels by more than
            a step of the output's quantization.
    """
    exact = Interpreter(model_content=bundle.model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    exact.allocate_tensors()
    fast, input_spec = Encoder(bundle.model), bundle.manifest.input_spec
    rng = np.random.default_rng(0)
    steps, cosines = [], []
    for _ in range(PROBES):
        image = input_spec.normalize(rng.integers(0, 256, input_spec.shape).astype(np.uint8))[None]
        try:
            found = encoder.output.values(embed(encoder.model, encoder.input.quantized(image)))
        except RuntimeError as error:
            raise ExportError(
                f"TensorFlow Lite Micro does not run this encoder ({error}).", "Use one of other layers."
            ) from None
        exact.set_tensor(exact.get_input_details()[0]["index"], image)
        exact.invoke()
        expected = exact.get_tensor(exact.get_output_details()[0]["index"])[0]
        steps.append(float(np.abs(found - expected).max()) / encoder.output.scale)
        near = fast.embed(image)
        cosines.append(float(found @ near / max(np.linalg.norm(found) * np.linalg.norm(near), np.finfo(np.float32).tiny)))
    if max(steps) > MOST_STEPS:
        raise ExportError(
            f"TensorFlow Lite Micro's embeddings are up to {max(steps):.0f} quantization steps from TFLite's.",
            "Use an encoder of other layers.",
        )
    return min(cosines)


def smallest_arena(encoder: IntegerEncoder, shape: tuple[int, ...]) -> int:
    """Find the fewest bytes, a multiple of 16, in which TensorFlow Lite Micro runs the file on an image of that shape."""
    image = np.zeros((1, *shape), np.int8)
    too_few, enough = 0, LARGEST_ARENA
    while enough - too_few > 16:
        half = (too_few + enough) // 32 * 16
        try:
            embed(encoder.model, image, half)
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
