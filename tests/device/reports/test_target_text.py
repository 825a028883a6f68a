"""The lines that tell of a bundle's target."""

from __future__ import annotations

from typing import Any

import pytest

from edge_meta.reports.target_text import target_lines

ESTIMATES = {
    "sram_bytes": 46176,
    "dram_bytes": 0,
    "flash_bytes": 117728,
    "cycles": 285898,
    "milliseconds": 0.5718,
    "clock_mhz": 500,
    "system": "Ethos_U55_High_End_Embedded",
    "memory_mode": "Shared_Sram",
}
TARGET: dict[str, Any] = {
    "name": "ethos-u",
    "config": "ethos-u55-256",
    "vela": "5.2.0",
    "on_npu": {"ADD": 3, "CONV_2D": 8},
    "on_cpu": {"DEQUANTIZE": 1, "LOG": 1},
    "float_on_cpu": 2,
    "rewritten": ["MEAN"],
    "agreement": {"cosine": 1.0, "steps": 0, "equal": 1.0},
    "vela_estimates": ESTIMATES,
}


def test_placement_and_estimates_are_told() -> None:
    assert list(target_lines(TARGET)) == [
        "compiled by Vela 5.2.0 for ethos-u55-256",
        "  on the NPU: ADD 3, CONV_2D 8 = 11",
        "  on the CPU: DEQUANTIZE 1, LOG 1 = 2 (2 of them in floats)",
        "  rewritten for the NPU: MEAN; equal to the bundle's own file",
        "  Vela's estimate of memory: SRAM 46,176, DRAM 0, flash 117,728 bytes",
        "  Vela's estimate of an inference: 285,898 cycles, 0.5718 ms (Ethos_U55_High_End_Embedded, 500 MHz)",
    ]


@pytest.mark.parametrize(
    ("agreement", "told"),
    [
        (
            {"cosine": 0.999, "steps": 1, "equal": 0.686},
            "68.6% of values equal, the others within 1 quantization step of the bundle's own file",
        ),
        ({"cosine": 0.9997}, "cosine 0.9997 to the bundle's own file"),
    ],
)
def test_agreement_is_told_by_steps_or_by_cosine(agreement: dict[str, float], told: str) -> None:
    (line,) = [line for line in target_lines(TARGET | {"agreement": agreement}) if "rewritten" in line]
    assert line.endswith(told)


def test_what_is_not_there_takes_no_line() -> None:
    assert list(target_lines({})) == []
    assert list(target_lines({"name": "edgetpu", "on_tpu": 3, "on_cpu": 1})) == []
    bare = list(target_lines(TARGET | {"on_cpu": {}, "float_on_cpu": 0, "rewritten": []}))
    assert "  on the CPU: none" in bare
    assert not [line for line in bare if "rewritten" in line]
