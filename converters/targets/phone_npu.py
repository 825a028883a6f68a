"""Make the target npu: the encoder compiled for one phone's chip by LiteRT's ahead-of-time compiler and its maker's SDK.

The SDKs are packages of their own, which download what their makers license. Nothing here has been run with one of them;
the compiler has been called up to the point where it needs it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from converters.targets.base import TargetFiles
from converters.tflite.edit import encoder_alone, serialize
from converters.tflite.model import ModelFile
from edge_meta.errors import BackendError, ExportError
from edge_meta.runtime.bundle import MODEL, Bundle

AOT = "ai_edge_litert.aot"
MAKERS = ("qualcomm", "mediatek", "google_tensor", "samsung", "intel_openvino")  # folders of AOT's vendors
SDKS = {maker: f"ai_edge_litert_sdk_{'intel' if maker == 'intel_openvino' else maker}" for maker in MAKERS}
LOG = re.compile(r"See (\S+\.error) for details")

USAGE = """\
## On the NPU of {soc}

`encoder.tflite` has the encoder alone, compiled for {soc} by LiteRT's ahead-of-time compiler: {on_npu} of its {operators}
operators run on the NPU. Run it by LiteRT's CompiledModel with the maker's dispatch library on the phone. Nothing here has
been run on one.
"""


@dataclass(frozen=True)
class Chip:
    """A system on a chip that LiteRT's compiler knows.

    Attributes:
        maker: one of `MAKERS`.
        name: as the compiler spells it, such as SM8750 or Tensor_G5.
    """

    maker: str
    name: str


def make(bundle: Bundle, on_note: Callable[[str], None], soc: str | None = None) -> TargetFiles:
    """Make the compiled file.

    Args:
        soc: the chip's name; see `chips`.

    Raises:
        BackendError: its maker's SDK is not installed, or LiteRT has no such compiler here.
        ExportError: there is no such chip, or its compiler refuses the encoder.
    """
    chip = chip_of(soc)
    require_sdk(chip)
    on_note(f"compiling it for {chip.name}")
    model, on_npu = compile_for(chip, serialize(encoder_alone(bundle.model)))
    operators = len(ModelFile.parse(bundle.model).subgraphs[0])
    facts = {"soc": chip.name, "maker": chip.maker, "on_npu": on_npu, "on_cpu": operators - on_npu}
    return TargetFiles({MODEL: model}, facts, USAGE.format(soc=chip.name, on_npu=on_npu, operators=operators))


def chips() -> tuple[Chip, ...]:
    """All chips that LiteRT's compiler knows; raises BackendError where LiteRT has none."""
    return tuple(
        Chip(maker, model.value)
        for maker in MAKERS
        for model in _module(f"{AOT}.vendors.{maker}.target").SocModel
        if model.value != "ALL"
    )


def chip_of(soc: str | None) -> Chip:
    """Find a chip by its name, in any case; raises ExportError when there is none of that name."""
    known = chips()
    for chip in known:
        if soc is not None and chip.name.lower() == soc.lower():
            return chip
    names = ", ".join(chip.name for chip in known)
    raise ExportError(
        "No chip is named." if soc is None else f"There is no chip {soc!r}.", f"Use --soc with one of {names}."
    )


def require_sdk(chip: Chip) -> None:
    """Raise BackendError when the SDK of a chip's maker is not installed."""
    package = SDKS[chip.maker]
    if find_spec(package) is None:
        raise BackendError(
            f"Compiling for {chip.name} needs its maker's SDK.", f"Run: pip install {package.replace('_', '-')}"
        )


def compile_for(chip: Chip, model: bytes) -> tuple[bytes, int]:
    """Compile a file's first subgraph for a chip; returns the file's bytes and how many operators went to the NPU.

    Raises:
        ExportError: the compiler fails, in its own words.
    """
    vendor, types = _module(f"{AOT}.vendors.{chip.maker}.target"), _module(f"{AOT}.core.aot_types")
    _module(f"{AOT}.vendors.{chip.maker}.{chip.maker}_backend")  # importing it makes it known to the compiler
    target, given = vendor.Target(vendor.SocModel(chip.name)), types.Model.create_from_bytes(model)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        result = _module(f"{AOT}.aot_compile").aot_compile(given, target=target, subgraphs_to_compile=[0])
    if not result.models:
        said = first_error("; ".join(str(error) for _, error in result.failed_backends))
        raise ExportError(
            f"The compiler for {chip.name} refuses this encoder ({said}).", "See the documentation of the maker's SDK."
        )
    (made,) = result.models
    stats = made.partition_stats.subgraph_stats if made.partition_stats else ()
    return made.model_bytes, sum(each.num_ops_offloaded for each in stats)


def first_error(error: str) -> str:
    """Read the first error in the log that the compiler names in its message, and remove the log; else the message."""
    named = LOG.search(error)
    if named is None or not Path(named[1]).is_file():
        return error or "it says nothing"
    log = Path(named[1])
    lines = log.read_text("utf-8", errors="replace").splitlines()
    log.unlink()
    return next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else error)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(
            f"LiteRT's ahead-of-time compiler is not here ({error}).", "Use ai-edge-litert 2.3 or newer on Linux."
        ) from None
