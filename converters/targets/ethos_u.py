"""Make the target ethos-u: the encoder compiled by Arm's Vela for an Ethos-U NPU, and Vela's report.

An encoder in int8 from end to end keeps int8 ends, as for `tflm`. One with a float front end keeps it: the board's CPU
runs that. Operators which Vela would leave to the CPU are rewritten first (`converters.tflite.npu_rewrite`), and a unit
length at the very end goes out of the file, into the manifest's `embedding`. The rewritten file must give what the bundle's
own gives, by TFLite's reference kernels. The compiled file itself cannot be run here: that takes an Ethos-U.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.targets import vela
from converters.targets.base import TargetFiles
from converters.targets.integer import End
from converters.targets.reference_kernels import run
from converters.tflite.edit import encoder_alone, ends_in_integers, serialize, with_integer_ends
from converters.tflite.model import ModelFile
from converters.tflite.npu_rewrite import remove_unit_length, rewrite
from edge_meta.choices import ETHOS_U
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MODEL, Bundle
from edge_meta.runtime.output_normalization import OutputNormalization
from edge_meta.types import Array

REPORT = "vela.json"
EXAMPLES = 16
MOST_STEPS = 1  # of the output's quantization
LEAST_COSINE = 0.999  # where the output is in floats

USAGE = """\
## On an Ethos-U

`encoder.tflite` is compiled by Arm's Vela {version} for {config}: run it in TensorFlow Lite Micro with its Ethos-U kernel
(`AddEthosU`) and Arm's driver. {summary} By Vela's estimate, for {system} at {clock} MHz: {milliseconds} ms an inference,
{sram} bytes of SRAM, {dram} of DRAM, {flash} of flash. Nothing here has been run on an Ethos-U.
{outside}"""
OUTSIDE = """
The program turns the output into the embedding by `centre` and `scale` of the manifest's `embedding`: the unit length was
taken out of the file, for it would run on the CPU.
"""


@dataclass(frozen=True)
class NpuEncoder:
    """An encoder without its heads, rewritten for the NPU, before Vela compiles it.

    Attributes:
        model: the file's bytes.
        normalization: of its output, outside of the file.
        rewritten: names of the operators that were replaced.
        input, output: None for an end in floats.
    """

    model: bytes
    normalization: OutputNormalization | None
    rewritten: tuple[str, ...]
    input: End | None
    output: End | None

    @classmethod
    def of(cls, bundle: Bundle) -> NpuEncoder:
        """Take an int8 encoder out of a bundle.

        Raises:
            ExportError: nothing in it works in int8, so that an NPU could run nothing.
        """
        operators = ModelFile.parse(bundle.model).subgraphs[0]
        if not any(tensor.dtype in ("int8", "uint8") for operator in operators for tensor in operator.outputs):
            raise ExportError("The encoder has nothing in int8, which an Ethos-U needs.", "Export it with --quantize int8.")
        model, normalization = encoder_alone(bundle.model), bundle.manifest.normalization
        removed: list[str] = []
        integer = ends_in_integers(bundle.model)
        if integer:
            model = with_integer_ends(model)
            length = None if normalization else remove_unit_length(model)
            if length is not None:
                normalization = OutputNormalization(length, (0.0,) * bundle.manifest.dim)
                removed = ["L2_NORMALIZATION"]
        rewritten = (*rewrite(model), *removed)
        content = serialize(model)
        ends: list[End | None] = [None, None]
        if integer:
            operators = ModelFile.parse(content).subgraphs[0]
            first = operators[0].inputs[0]
            assert first is not None
            ends = [End.of(first), End.of(operators[-1].outputs[0])]
        return cls(content, normalization, rewritten, *ends)

    def embed(self, examples: Array) -> Array:
        """Embed normalized examples (n, ...) by TFLite's reference kernels; returns float32 (n, D)."""
        given = examples if self.input is None else self.input.quantized(examples)
        outputs = run(self.model, given)
        values = outputs if self.output is None else self.output.values(outputs)
        return values if self.normalization is None else self.normalization.apply(values)


def make(bundle: Bundle, on_note: Callable[[str], None], config: str = ETHOS_U[0]) -> TargetFiles:
    """Make the compiled file and the report.

    Args:
        config: one of `choices.ETHOS_U`.

    Raises:
        BackendError: Vela is not installed.
        ExportError: the encoder is not in int8, Vela does not compile it, or the rewritten one gives something else.
    """
    version, encoder = vela.version(), NpuEncoder.of(bundle)
    agreement = require_agreement(encoder, bundle)
    on_note(f"compiling it by Vela {version}")
    compiled = vela.compile_for(config, encoder.model)
    facts: dict[str, Any] = {
        "config": config,
        "vela": version,
        "on_npu": compiled.on_npu,
        "on_cpu": compiled.on_cpu,
        "float_on_cpu": compiled.float_on_cpu,
        "rewritten": list(encoder.rewritten),
        "agreement": agreement,
        "vela_estimates": compiled.estimates,
        **{
            name: end.to_manifest()
            for name, end in (("input", encoder.input), ("output", encoder.output))
            if end is not None
        },
    }
    found = compiled.estimates
    usage = USAGE.format(
        version=version,
        config=config,
        summary=summary(compiled),
        system=found["system"],
        clock=found["clock_mhz"],
        milliseconds=found["milliseconds"],
        sram=f"{found['sram_bytes']:,}",
        dram=f"{found['dram_bytes']:,}",
        flash=f"{found['flash_bytes']:,}",
        outside=OUTSIDE if encoder.normalization else "",
    )
    report = (json.dumps(facts, indent=1) + "\n").encode()
    return TargetFiles({MODEL: compiled.model, REPORT: report}, facts, usage, encoder.normalization)


def summary(compiled: vela.Compiled) -> str:
    """Say in a sentence how much of an encoder the NPU runs."""
    on_npu, on_cpu = sum(compiled.on_npu.values()), sum(compiled.on_cpu.values())
    integer = on_cpu - compiled.float_on_cpu
    text = f"{on_npu} of its {on_npu + integer} integer operators run on the NPU"
    return f"{text}, {compiled.float_on_cpu} in floats on the CPU." if compiled.float_on_cpu else f"{text}."


def require_agreement(encoder: NpuEncoder, bundle: Bundle) -> dict[str, float]:
    """Compare embeddings of random examples with those of the bundle's own file.

    Returns:
        The smallest `cosine`; and, for an output in int8, the largest difference in `steps` of the quantization of the
        bundle's own, and the share of values that are `equal` in these.

    Raises:
        ExportError: they are no longer the same.
    """
    spec = bundle.manifest.input_spec
    drawn = spec.synthetic(np.random.default_rng(0), EXAMPLES)
    examples = np.stack([spec.normalize(example) for example in drawn])
    return compare(encoder, bundle, examples)


def compare(encoder: NpuEncoder, bundle: Bundle, examples: Array) -> dict[str, float]:
    """The same for given examples, normalized."""
    expected, outside = run(bundle.model, examples), bundle.manifest.normalization
    expected = expected if outside is None else outside.apply(expected)
    found = encoder.embed(examples)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found * expected).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)).min())
    agreement = {"cosine": round(cosine, 6)}
    if encoder.output is not None and outside is None:
        given = ModelFile.parse(bundle.model).subgraphs[0][-1].inputs[0]
        assert given is not None
        steps = End.of(given)
        apart = steps.quantized(found).astype(int) - steps.quantized(expected).astype(int)
        agreement["steps"] = int(np.abs(apart).max())
        agreement["equal"] = round(float((apart == 0).mean()), 4)
    if agreement.get("steps", 0) > MOST_STEPS or ("steps" not in agreement and cosine < LEAST_COSINE):
        raise ExportError(
            f"Rewritten for an Ethos-U, the encoder gives something else ({agreement}).", "Report this encoder."
        )
    return agreement
