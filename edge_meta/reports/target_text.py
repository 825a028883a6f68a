"""The text of a bundle's target, after an export and when it is inspected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def target_lines(target: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the manifest's field `target`: where its operators run, and what the compiler estimates."""
    if "vela_estimates" not in target:
        return
    found = target["vela_estimates"]
    yield f"compiled by Vela {target['vela']} for {target['config']}"
    yield f"  on the NPU: {_counted(target['on_npu'])}"
    floats = f" ({target['float_on_cpu']} of them in floats)" if target["float_on_cpu"] else ""
    yield f"  on the CPU: {_counted(target['on_cpu'])}{floats}"
    if target["rewritten"]:
        yield f"  rewritten for the NPU: {', '.join(target['rewritten'])}; {_agreement(target['agreement'])}"
    memory = f"SRAM {found['sram_bytes']:,}, DRAM {found['dram_bytes']:,}, flash {found['flash_bytes']:,} bytes"
    yield f"  Vela's estimate of memory: {memory}"
    yield (
        f"  Vela's estimate of an inference: {found['cycles']:,} cycles, {found['milliseconds']} ms "
        f"({found['system']}, {found['clock_mhz']} MHz)"
    )


def _counted(operators: Mapping[str, int]) -> str:
    """CONV_2D 8, ADD 3 = 11."""
    if not operators:
        return "none"
    return f"{', '.join(f'{name} {count}' for name, count in operators.items())} = {sum(operators.values())}"


def _agreement(agreement: Mapping[str, float]) -> str:
    """Say how near the rewritten file is to the bundle's own."""
    if agreement.get("steps") == 0:
        return "equal to the bundle's own file"
    if "steps" in agreement:
        share = f"{agreement['equal']:.1%} of values equal"
        return f"{share}, the others within {agreement['steps']} quantization step of the bundle's own file"
    return f"cosine {agreement['cosine']} to the bundle's own file"
