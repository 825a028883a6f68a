"""Make the target edgetpu: the encoder in int8 for Coral's compiler, and a report of operators that will run on the CPU.

The compiler is not run here; the report follows its documented requirements and table of operators, "TensorFlow models on
the Edge TPU", coral.ai/docs/edgetpu/models-intro: 8-bit tensors of constant size, in which only the three innermost
dimensions are larger than 1; and one Edge TPU part, so every operator from the first that does not map runs on the CPU.
An image and its mirror image, which `--mirror` embeds as a batch of two, take a pass each in this target's file. It must
give what the bundle's own gives, by TFLite's reference kernels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.targets.base import TargetFiles
from converters.targets.integer import IntegerEncoder
from converters.targets.reference_kernels import run
from converters.tflite.edit import serialize
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo, parse
from converters.tflite.npu_rewrite import rewrite
from converters.tflite.two_passes import separate_images
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MODEL, Bundle

REPORT, TEXT = "edgetpu.json", "edgetpu.txt"
SOURCE = "coral.ai/docs/edgetpu/models-intro"
NOT_RUN = "Made from Coral's documentation; the compiler itself was not run, and may differ."
# Bytes of memory for parameters: "roughly 8 MB" according to coral.ai/docs/edgetpu/compiler.
CACHE = 8 << 20
EXAMPLES = 16  # that the rewritten file is compared on

USAGE = """\
## On an Edge TPU

`encoder.tflite` has the encoder alone, int8 in and out: run `edgetpu_compiler encoder.tflite`. {summary}
`edgetpu.txt` lists the operators. {not_run}
"""

Rule = Callable[[OperatorInfo], "str | None"]


def make(bundle: Bundle, on_note: Callable[[str], None]) -> TargetFiles:
    """Make the int8 file and the report, as JSON and as text.

    Raises:
        ExportError: the encoder is not in int8 from end to end, or gives something else once it is rewritten.
    """
    encoder = IntegerEncoder.of(bundle)
    model = one_image_at_a_time(encoder.model)
    if model != encoder.model:
        _require_equal(model, encoder, bundle)
    found = report(ModelFile.parse(model).subgraphs[0])
    on_note(found["summary"])
    files = {
        MODEL: model,
        REPORT: (json.dumps(found, indent=1) + "\n").encode(),
        TEXT: as_text(found).encode(),
    }
    ends = {"input": encoder.input.to_manifest(), "output": encoder.output.to_manifest()}
    facts = {**ends, "on_tpu": found["on_tpu"], "on_cpu": found["on_cpu"]}
    return TargetFiles(files, facts, USAGE.format(summary=found["summary"], not_run=NOT_RUN))


def one_image_at_a_time(content: bytes) -> bytes:
    """Give a mirrored image a pass of its own, and mirror by a convolution; returns other files as they are."""
    model = parse(content)
    if not separate_images(model):
        return content
    rewrite(model)
    return serialize(model)


def _require_equal(model: bytes, encoder: IntegerEncoder, bundle: Bundle) -> None:
    spec = bundle.manifest.input_spec
    drawn = spec.synthetic(np.random.default_rng(0), EXAMPLES)
    given = encoder.input.quantized(np.stack([spec.normalize(example) for example in drawn]))
    if not np.array_equal(run(model, given), run(encoder.model, given)):
        raise ExportError("Rewritten for an Edge TPU, the encoder gives something else.", "Report this encoder.")


def report(operators: tuple[OperatorInfo, ...]) -> dict[str, Any]:
    """List where each operator will run according to the documentation.

    Returns:
        `operators`: for each its `operator`, `runs_on` (tpu or cpu) and the `reason` for the CPU; `on_tpu` and `on_cpu`:
        their numbers; `parameter_bytes`; `summary`, `source` and `note` for people.
    """
    rows: list[dict[str, Any]] = []
    first: str | None = None
    for operator in operators:
        reason = _obstacle(operator)
        if reason is None and first is not None:
            reason = f"comes after {first}, and there is one Edge TPU part only"
        elif reason is not None and first is None:
            first = operator.name
        rows.append({"operator": operator.name, "runs_on": "cpu" if reason else "tpu", "reason": reason})
    on_cpu = sum(row["runs_on"] == "cpu" for row in rows)
    on_tpu = len(rows) - on_cpu
    parameters = sum(len(data) for data in {tensor.data for each in operators for tensor in each.inputs if tensor})
    summary = f"{on_tpu} of {len(rows)} operators run on the Edge TPU, {on_cpu} on the CPU."
    if parameters > CACHE:
        summary += f" The parameters, {parameters:,} bytes, do not fit into its memory and are sent for each image."
    return {
        "operators": rows,
        "on_tpu": on_tpu,
        "on_cpu": on_cpu,
        "parameter_bytes": parameters,
        "summary": summary,
        "source": SOURCE,
        "note": NOT_RUN,
    }


def as_text(found: dict[str, Any]) -> str:
    """Format a report for people: an operator a line, then the summary."""
    width = max(len(row["operator"]) for row in found["operators"])
    rows = [
        f"{row['operator']:{width}}  {row['runs_on'].upper()}{'  ' + row['reason'] if row['reason'] else ''}".rstrip()
        for row in found["operators"]
    ]
    return "\n".join([*rows, "", found["summary"], f"{found['note']} Source: {found['source']}"]) + "\n"


def _obstacle(operator: OperatorInfo) -> str | None:
    """The reason why an operator does not map, whatever comes before it; None if it maps."""
    if operator.name not in RULES:
        return "is not among the operators of the Edge TPU"
    computed = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None and not tensor.data]
    for tensor in computed:
        if tensor.dtype not in ("int8", "uint8"):
            return f"works on {tensor.dtype}"
        if min(tensor.shape, default=1) < 0:
            return "has a size that is not constant"
        if any(size > 1 for size in tensor.shape[:-3]):
            return f"has a tensor of {'×'.join(map(str, tensor.shape))}; only three inner dimensions may be larger than 1"
    rule = RULES[operator.name]
    return rule(operator) if rule else None


def _constant(tensor: TensorInfo | None) -> list[int]:
    return [] if tensor is None or not tensor.data else np.frombuffer(tensor.data, "<i4").tolist()


def _unfused(operator: OperatorInfo) -> str | None:
    return "has a fused activation function" if operator.options.get("fusedActivationFunction") else None


def _same_dilation(operator: OperatorInfo) -> str | None:
    factors = {operator.options.get(key, 1) for key in ("dilationHFactor", "dilationWFactor")}
    return "has different dilations in x and y" if len(factors) > 1 else None


def _fully_connected(operator: OperatorInfo) -> str | None:
    if operator.options.get("weightsFormat"):
        return "has weights in another format than the default"
    return "has an output of more than one dimension" if any(size > 1 for size in operator.outputs[0].shape[:-1]) else None


def _concatenation(operator: OperatorInfo) -> str | None:
    constants = [tensor for tensor in operator.inputs if tensor is not None and tensor.data]
    if constants and (len(operator.inputs) > 2 or any(any(tensor.data) for tensor in constants)):
        return "has a constant input that is not mere padding"
    return _unfused(operator)


def _reduction(operator: OperatorInfo) -> str | None:
    shape = operator.inputs[0].shape if operator.inputs[0] else ()
    axes = {axis % max(1, len(shape)) for axis in _constant(operator.inputs[1])}
    if 0 in axes:
        return "reduces the batch dimension"
    if operator.name == "MEAN" and len(shape) - 1 in axes and shape[-1] % 4:
        return "averages over channels, whose number is no multiple of 4"
    return None


def _softmax(operator: OperatorInfo) -> str | None:
    shape = operator.outputs[0].shape
    return "works on more than one dimension" if any(size > 1 for size in shape[:-1]) or shape[-1] > 16_000 else None


# The documented operators, with the rule for those that have a documented limit which encoders can exceed.
RULES: dict[str, Rule | None] = {
    **dict.fromkeys(
        ("ADD", "EXPAND_DIMS", "L2_NORMALIZATION", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "PACK", "PAD", "PRELU",
         "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE",
         "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE_CONV")
    ),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _unfused),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _same_dilation),
    **dict.fromkeys(("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"), _reduction),
    "CONCATENATION": _concatenation,
    "FULLY_CONNECTED": _fully_connected,
    "SOFTMAX": _softmax,
}  # fmt: skip
