"""Compile an int8 file for Arm's Ethos-U by Vela, Arm's compiler, in a child process, and read what it reports."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.tflite.model import ModelFile, OperatorInfo
from edge_meta.errors import BackendError, ExportError

COMMAND = (sys.executable, "-m", "ethosu.vela")
ON_NPU = "custom ethos-u"  # the one operator of a compiled file that the NPU runs, with all that was compiled into it
KIB = 1024


@dataclass(frozen=True)
class Compiled:
    """A compiled file.

    Attributes:
        model: the file's bytes; what runs on the NPU is one operator in it.
        on_npu, on_cpu: how often each operator of the source runs there.
        float_on_cpu: how many of those on the CPU take or give floats, which no NPU of the family does.
        estimates: Vela's own of memory (bytes) and of time, and for which system; nothing of it is measured.
    """

    model: bytes
    on_npu: dict[str, int]
    on_cpu: dict[str, int]
    float_on_cpu: int
    estimates: dict[str, Any]


def version(command: Sequence[str] = COMMAND) -> str:
    """Vela's version.

    Raises:
        BackendError: it is not installed.
    """
    ran = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BackendError("Compiling for an Ethos-U needs Arm's Vela.", 'Run: pip install "edge-meta[ethos-u]"')
    return ran.stdout.strip()


def compile_for(config: str, model: bytes, command: Sequence[str] = COMMAND) -> Compiled:
    """Compile a file for a configuration of the NPU, such as ethos-u55-256, with Vela's own system for it.

    Raises:
        ExportError: Vela refuses the file.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "encoder.tflite"
        source.write_bytes(model)
        arguments = ["--accelerator-config", config, "--output-dir", scratch, str(source)]
        ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=scratch)
        compiled, summaries = Path(scratch) / "encoder_vela.tflite", sorted(Path(scratch).glob("*_summary_*.csv"))
        if ran.returncode or not compiled.exists() or not summaries:
            said = (ran.stderr.strip() or ran.stdout.strip() or "it says nothing").splitlines()[-1]
            raise ExportError(f"Vela does not compile this encoder ({said}).", "Use an encoder of other layers.")
        content = compiled.read_bytes()
        with summaries[0].open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
    on_npu, on_cpu, floats = placement(ModelFile.parse(model).subgraphs[0], ModelFile.parse(content).subgraphs[0])
    return Compiled(content, on_npu, on_cpu, floats, estimates(row))


def placement(
    source: Sequence[OperatorInfo], compiled: Sequence[OperatorInfo]
) -> tuple[dict[str, int], dict[str, int], int]:
    """Tell what runs where: all that the compiled file still names runs on the CPU, and the rest has gone to the NPU.

    Returns:
        Counts by name on the NPU and on the CPU, and how many of the latter work on floats.
    """
    left = [operator for operator in compiled if operator.name != ON_NPU]
    on_cpu = Counter(operator.name for operator in left)
    on_npu = Counter(operator.name for operator in source) - on_cpu
    return dict(sorted(on_npu.items())), dict(sorted(on_cpu.items())), sum(map(works_on_floats, left))


def works_on_floats(operator: OperatorInfo) -> bool:
    """Whether an operator takes or gives floats, as those do that convert."""
    return any(tensor is not None and tensor.dtype.startswith("float") for tensor in (*operator.inputs, *operator.outputs))


def estimates(row: dict[str, str]) -> dict[str, Any]:
    """Read a row of Vela's summary."""
    flash = float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
    return {
        "sram_bytes": round(float(row["sram_memory_used"]) * KIB),
        "dram_bytes": round(float(row["dram_memory_used"]) * KIB),
        "flash_bytes": round(flash * KIB),
        "cycles": round(float(row["cycles_total"])),
        "milliseconds": round(float(row["inference_time"]) * 1000, 4),
        "clock_mhz": round(float(row["core_clock"]) / 1e6),
        "system": row["system_config"],
        "memory_mode": row["memory_mode"],
    }
