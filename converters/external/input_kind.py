"""Judge which kind of examples another maker's model takes: images, recordings, or arrays."""

from __future__ import annotations

from math import prod

from converters.external.source_input import LOWEST
from converters.options import ModelOptions
from converters.tflite.edit_graph import Graph
from converters.tflite.metadata import ENTRY, stated_content
from edge_meta.errors import ExportError

SMALLEST_IMAGE = 8  # pixels on a side
LONGEST_SIDES = 4.0  # of one image, as a ratio
SHORTEST_WINDOW = 4000  # floats in a row from which on they may be samples: a quarter second at 16 kHz
OF_SPECTROGRAMS = ("mel", "spectr", "mfcc", "fbank", "filterbank", "stft", "cepstr")
OF_SAMPLES = ("audio", "wav", "pcm", "sound", "speech", "samples")
OF_IMAGES = ("image", "pixel", "img", "photo")


def input_kind(graph: Graph, source: int, shape: tuple[int, ...], name: str, options: ModelOptions) -> str:
    """Judge the kind of a model's input by the options, its metadata, its name, its shape and its dtype, in this order.

    Args:
        source: the input's tensor.
        shape: of it, with the batch, without open sizes.
        name: of the file, for messages.

    Returns:
        One of `INPUT_KINDS`.

    Raises:
        ExportError: two kinds are likely, or an option is for another kind.
    """
    kind = options.input_kind or _kind(graph, source, shape, name, options.sample_rate is not None)
    if kind == "image" and options.sample_rate is not None:
        raise ExportError(
            f"{name} takes {list(shape)}, which is an image and has no sample rate.",
            "Leave --sample-rate out; if it is a spectrogram, put the model that computes it in front, or use "
            "--input-kind array without --sample-rate.",
        )
    return kind


def _kind(graph: Graph, source: int, shape: tuple[int, ...], name: str, with_rate: bool) -> str:
    dtype = graph.dtype(source)
    words = f"{graph.name(source)} {name}".lower()
    content = stated_content(graph.metadata(ENTRY))
    flat = prod(shape) == max(shape)
    if dtype not in ("float32", *LOWEST):
        return "array"
    if flat:
        return _flat_kind(shape, dtype, words, content, name, with_rate)
    if content == "image":
        return "image"
    sizes = shape[1:] if shape[0] == 1 and len(shape) == 4 else shape
    if len(shape) != 4 or shape[0] != 1 or (sizes[2] not in (1, 3) and sizes[0] not in (1, 3)):
        return "array"
    if content == "audio" or any(word in words for word in OF_SPECTROGRAMS):
        return "array"
    if _is_picture(sizes) and not with_rate and not any(word in words for word in OF_SAMPLES):
        return "image"
    if any(word in words for word in OF_IMAGES) and not with_rate:
        return "image"
    raise ExportError(
        f"{name} takes {list(shape)}, which may be an image, or an array such as a spectrogram or a sensor's series.",
        "Say which with --input-kind image, or --input-kind array; with the model that computes the spectrogram in front, "
        "it takes recordings.",
    )


def _flat_kind(shape: tuple[int, ...], dtype: str, words: str, content: str | None, name: str, with_rate: bool) -> str:
    if with_rate or content == "audio":
        return "audio"
    if dtype not in ("float32", "int16") or max(shape) < SHORTEST_WINDOW:
        return "array"
    if dtype == "int16" or any(word in words for word in OF_SAMPLES):
        return "audio"
    raise ExportError(
        f"{name} takes {max(shape)} values in a row, which may be samples of a recording, or an array.",
        "Say which with --sample-rate HZ, or --input-kind array.",
    )


def _is_picture(sizes: tuple[int, ...]) -> bool:
    """Tell whether an example is shaped as pictures are: of three channels, or of one and square."""
    planes = sizes[2] not in (1, 3)
    height, width, channels = (sizes[1], sizes[2], sizes[0]) if planes else sizes
    if min(height, width) < SMALLEST_IMAGE or max(height, width) > LONGEST_SIDES * min(height, width):
        return False
    return height == width or channels == 3
