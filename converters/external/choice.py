"""Choose the tensor that is another maker's model's embedding, and the range of its input: as stated, else as judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from converters.external.candidates import candidates
from converters.external.embedding_part import check_operators, embedding_tensor, main_subgraph, model_inputs, require_vector
from converters.external.input_range import Arithmetic, Range
from converters.external.input_spec import in_range, read_input
from converters.external.judgement import as_report, few_of_each, judge
from converters.external.source_input import SourceInput
from converters.external.source_model import ModelInputs, TfliteModel, why_not
from converters.options import ModelOptions
from converters.tflite.edit_graph import Graph
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.errors import BundleError, ExportError
from edge_meta.runtime.subprocess_check import check_model

Note = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """A tensor and an input.

    Attributes:
        content: the file as it was, but the subgraph that embeds is first; if no interpreter runs it, the part that embeds.
        tensor: the embedding, by its index in the file.
        tensor_name: for the manifest.
        inputs: the file's inputs.
        source_input: the one that takes an example, with its range.
        data: the calibration data, if it was named.
        asked: the tensor was asked for, and not judged.
        report: accuracies of the candidates, for the manifest; empty where there was nothing to judge.
    """

    content: bytes
    tensor: int
    tensor_name: str
    inputs: ModelInputs
    source_input: SourceInput
    data: Dataset | None
    asked: bool
    report: dict[str, Any] = field(default_factory=dict)


def choose(
    content: bytes,
    name: str,
    options: ModelOptions,
    calibration: str | None,
    on_note: Note,
    names: tuple[str, ...] = (),
    arithmetic: Arithmetic | None = None,
) -> Choice:
    """Choose the embedding and the range of the input of a .tflite file.

    Args:
        name: of the file, for messages.
        calibration: the dataset to judge candidates by.
        on_note: called with a line about each assumption and each judgement.
        names: other names of the file's outputs, such as those of layers.
        arithmetic: see `stated_range`; None for a file that was not converted here.

    Raises:
        ExportError: it has no such tensor or input, or nothing says in which range it wants pixels.
        DatasetError: there is no calibration data.
    """
    graph = Graph(content, name)
    main = main_subgraph(graph, name)
    if main != 0:
        graph.make_main(main)
        content = graph.whole()
        graph = Graph(content, name)
    graph.fold_variables()
    asked = options.output_tensor is not None
    output = embedding_tensor(graph, name, options.output_tensor)
    tensors = [output] if asked else candidates(graph, output, names)
    if not asked and tensors == [output]:
        require_vector(graph, output, name)
    described = {tensor: graph.name(tensor) for tensor in graph.tensors()}
    graph.make_output(output)
    check_operators(graph, name)
    inputs = model_inputs(graph, name)
    given, ranges = read_input(graph, inputs.example, name, options, on_note, arithmetic)
    if arithmetic is None:
        content = _that_runs(content, graph, name)
    data = None if calibration is None else load_dataset(calibration, "train", given.spec)
    if data is None or (len(tensors) == 1 and len(ranges) == 1):
        if len(ranges) > 1:
            _ask(name, ranges)
        if len(tensors) > 1:
            others = ", ".join(repr(described[tensor]) for tensor in tensors[1:])
            on_note(
                f"the embedding is taken from {described[tensors[0]]!r}, not from {others} (--output-tensor); with "
                "--calibration they are judged"
            )
        return Choice(content, tensors[0], described[tensors[0]], inputs, in_range(given, ranges[0]), data, asked)
    judged = judge(TfliteModel(content, inputs, tensors), given, ranges, few_of_each(data), name)
    way, shot = judged.protocol
    if len(ranges) > 1:
        scores = ", ".join(f"{each} {100 * accuracy:.1f} %" for each, accuracy in judged.ranges.items())
        on_note(f"pixels or samples in the range {judged.range.name} do best on {way}-way {shot}-shot episodes: {scores}")
    if len(tensors) > 1:
        scores = ", ".join(f"{described[each]!r} {100 * accuracy:.1f} %" for each, accuracy in judged.tensors.items())
        on_note(f"the embedding is taken from {described[judged.tensor]!r}; {way}-way {shot}-shot episodes: {scores}")
    report = as_report(judged, described, data.name)
    return Choice(
        content, judged.tensor, described[judged.tensor], inputs, in_range(given, judged.range), data, asked, report
    )


def _that_runs(content: bytes, graph: Graph, name: str) -> bytes:
    """The file if an interpreter runs it, else the part of it that embeds: a device may lack operators behind that.

    It is tried in a child process, since an interpreter may crash on a file of unknown origin. XNNPACK runs some operators
    that the interpreter has no kernels for.
    """
    try:
        check_model(content)
        if why_not(content) is None:
            return content
    except BundleError:
        pass
    part = graph.save("input")
    try:
        check_model(part)
    except BundleError as error:
        raise ExportError(f"{name}: {error.cause}", "Convert it again for TFLite's own operators.") from None
    if (reason := why_not(part)) is not None:
        raise ExportError(
            f"{name} runs with XNNPACK alone, which few devices have ({reason}).",
            "Choose an earlier tensor with --output-tensor, or convert it again for TFLite's own operators.",
        )
    return part


def _ask(name: str, ranges: list[Range]) -> None:
    listed = "; ".join(f"{each.name}: {each.options()}" for each in ranges[:2])
    raise ExportError(
        f"{name} does not say in which range it wants its values.",
        f"Say it ({listed}), or name a dataset with --calibration, on which the usual ranges are tried.",
    )
