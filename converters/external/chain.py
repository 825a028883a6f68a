"""Put .tflite files of a chain, such as a spectrogram and the network behind it, one behind the other in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np

from converters.external.between import Between
from converters.external.embedding_part import keep_embedding
from converters.external.input_spec import fix_shape
from converters.external.joint import Joint, TooFewFramesError, fit
from converters.options import ModelOptions
from converters.tflite.edit_graph import Graph
from converters.tflite.model import parse
from converters.tflite.splice import NetworkCopier, with_static_shapes
from converters.tflite.tail import Tail
from edge_meta.errors import BundleError, ExportError
from edge_meta.runtime.subprocess_check import check_model

Note: TypeAlias = Callable[[str], None]

SECONDS = tuple(half / 2 for half in range(2, 21))  # tried for an input of open length, the shortest that suffices
# Pairs whose files do not say what lies between them: SHA-256 of both, the first one's --scale, and --between.
KNOWN_PAIRS = {
    # Google's speech_embedding with its log-mel spectrogram, as openWakeWord has them; samples in the range of int16.
    (
        "96fa0adccb6e8cf95cb14465409a1a2898ee4a96a85bb9ed3c7eb0e68bf163e8",
        "c0aea21eb84a4ce90a08c870da41b7a7173b45269e6a3207c71d67c40f3a59d8",
    ): (32768.0, "x/10+2"),
}


def join_chain(sources: Sequence[Path], options: ModelOptions, on_note: Note) -> tuple[bytes, ModelOptions]:
    """Join files into one, which takes the first one's input and gives the last one's output.

    Where a model gives more frames than the next one takes, that one runs on windows over them. Several vectors at the end
    are averaged over time.

    Args:
        sources: two .tflite files or more.
        options: of the whole chain. An input of open length becomes one second long, or as long as the chain needs.

    Returns:
        The file, and the options that it is to be exported with.

    Raises:
        ExportError: a file cannot be read or run, or the files do not belong together.
    """
    contents = [_read(source) for source in sources]
    scale, betweens = _known(contents, options, len(sources) - 1)
    if scale is not None:
        options = replace(options, scale=options.scale or scale, input_kind=options.input_kind or "audio")
    names = [source.name for source in sources]
    first = Graph(contents[0], names[0])
    tensor, _ = keep_embedding(first, names[0], None, on_note)
    shape = first.shape(tensor)
    if options.input_shape is not None or -1 not in (shape[1:] or shape):
        return _finished(_joined(contents, names, betweens, options, on_note), options)
    if set(shape) > {-1, 1}:
        raise ExportError(
            f"{names[0]} leaves the size of its input open ({list(shape)}).", "Say it with --input-shape, without the batch."
        )
    rate = options.sample_rate or 16000
    for seconds in SECONDS:
        sizes = (round(seconds * rate) if size == -1 else size for size in shape[1:] or shape)
        options = replace(options, input_shape=tuple(sizes))
        try:
            joined = _joined(contents, names, betweens, options, on_note)
        except TooFewFramesError as error:
            too_short = error
            continue
        on_note(f"of recordings, {seconds:g} s are taken at a time (--input-shape)")
        return _finished(joined, replace(options, input_kind=options.input_kind or "audio"))
    raise too_short


def _finished(joined: bytes, options: ModelOptions) -> tuple[bytes, ModelOptions]:
    (output,) = Graph(joined, "chain").outputs
    return joined, replace(options, output_tensor=str(output), between=None)


def _read(source: Path) -> bytes:
    if source.suffix != ".tflite":
        raise ExportError(f"{source} is no .tflite file, which every part of a chain is.", "Convert it first.")
    try:
        return source.read_bytes()
    except OSError as error:
        raise ExportError(f"{source} cannot be read ({error.strerror}).", "Check the path.") from None


def _known(contents: Sequence[bytes], options: ModelOptions, joints: int) -> tuple[tuple[float] | None, list[Between]]:
    """The first file's scale, if it is known, and scale and offset at each joint: as asked, else as known."""
    sums = [hashlib.sha256(content).hexdigest() for content in contents]
    found = [KNOWN_PAIRS.get(pair) for pair in pairwise(sums)]
    scale = None if found[0] is None else (found[0][0],)
    if options.between is None:
        return scale, [Between.of(each[1]) if each else Between() for each in found]
    if len(options.between) != joints:
        raise ExportError(
            f"--between was given {len(options.between)} times for {joints + 1} files.",
            "Give it once for each file behind the first, in their order; x changes nothing.",
        )
    return scale, [Between.of(text) for text in options.between]


def _joined(
    contents: Sequence[bytes], names: Sequence[str], betweens: Sequence[Between], options: ModelOptions, on_note: Note
) -> bytes:
    """Join the files for an input of a given size."""
    first = Graph(contents[0], names[0])
    source, _ = keep_embedding(first, names[0], None, lambda note: None)
    fix_shape(first, source, names[0], options.input_shape)
    joined, notes = first.save("input"), []
    for number, between in enumerate(betweens, start=1):
        last = number == len(betweens)
        pair, graph = (names[number - 1], names[number]), Graph(contents[number], names[number])
        taken, _ = keep_embedding(graph, pair[1], options.output_tensor if last else None, lambda note: None)
        joint = fit(_run(joined, pair[0]), graph, taken, pair)
        graph.set_shape(taken, joint.taken)
        part = graph.save("input")
        joined = _linked(joined, part, between, joint, _run(part, pair[1]))
        if joint.about:
            notes.append(f"{pair[1]} runs on {joint.about}" + (", and their embeddings are averaged" if last else ""))
    shape = _run(joined, names[-1])
    if len(without_ones := [size for size in shape if size > 1]) == 2:
        joined = _averaged(joined, without_ones)
    for note in notes:
        on_note(note)
    return with_static_shapes(joined)


def _run(model: bytes, name: str) -> tuple[int, ...]:
    """The output's shape, from a run in a child process."""
    try:
        return check_model(model).main.outputs[0].shape
    except BundleError as error:
        raise ExportError(
            f"{name}: {error.cause}", "Check --input-shape, and convert it for TFLite's own operators."
        ) from None


def _linked(before: bytes, part: bytes, between: Between, joint: Joint, given: tuple[int, ...]) -> bytes:
    """Put a network behind a file: once, or on each window, whose outputs stand below each other, (n, D).

    Args:
        given: the shape of the network's own output.
    """
    model, other = parse(before), parse(part)
    chain = Tail(model)
    network = other.subgraphs[0]
    taken = network.tensors[network.inputs[0]]
    chain.to_float()
    if between.scale != 1.0:
        chain.append("MUL", None, np.array([between.scale], np.float32))
    if between.offset != 0.0:
        chain.append("ADD", None, np.array([between.offset], np.float32))
    values = joint.values
    chain.reshape(values)
    if joint.transposed:
        values = values[::-1]
        chain.append("TRANSPOSE", values, np.array([1, 0], np.int32))
    frames, outputs = chain.tensor, []
    copier = NetworkCopier(model, other)
    for start in joint.starts:
        chain.tensor = frames
        if joint.axis is not None:
            begin, size = np.zeros(len(values), np.int32), np.array(values, np.int32)
            begin[joint.axis], size[joint.axis] = start, joint.window
            chain.append("SLICE", tuple(map(int, size)), begin, size)
        chain.reshape(joint.taken)
        chain.to_dtype_of(taken)
        chain.tensor = copier.copy(chain.tensor)
        if len(joint.starts) > 1:
            chain.to_float()
            chain.reshape((prod(given) // given[-1], given[-1]))
        outputs.append(chain.tensor)
    if len(outputs) > 1:
        chain.concatenate(outputs, (len(outputs) * prod(given) // given[-1], given[-1]))
    return chain.save()


def _averaged(content: bytes, shape: Sequence[int]) -> bytes:
    """Average vectors (n, D) over time."""
    chain = Tail(parse(content))
    chain.to_float()
    chain.reshape(shape)
    chain.append("MEAN", (1, shape[1]), np.array([0], np.int32), keepDims=True)
    return chain.save()
