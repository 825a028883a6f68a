"""What about a machine spoils a measurement."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CPUFREQ = Path("/sys/devices/system/cpu")
MOUNTS = Path("/proc/mounts")
SPREAD = 1.25  # between rounds of a stage; on a quiet machine they differ by a few percent
IN_ROUNDS = ("embed", "total")


def load() -> float | None:
    """Processes that wanted to run, averaged over the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def governors(folder: Path = CPUFREQ) -> set[str]:
    """The frequency governors of the CPUs; empty where there are none, as in most virtual machines."""
    found = set()
    for file in folder.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        try:
            found.add(file.read_text().strip())
        except OSError:
            continue
    return found


def warnings(
    load_before: float | None,
    threads: int,
    stages: Mapping[str, Mapping[str, Any]],
    folder: Path,
    cores: int | None = None,
    cpufreq: Path = CPUFREQ,
    mounts: Path = MOUNTS,
) -> list[str]:
    """What spoils a run, a sentence for each.

    Args:
        load_before: what `load` gave before the run began to load the machine itself.
        threads: that the run needs.
        stages: its figures, as `timing.summary` gives them.
        folder: where the temporary stores are.
        cores: that the machine has, unless it is to be asked.
    """
    cores = cores or os.cpu_count() or 1
    found = []
    scaling = sorted(governors(cpufreq) - {"performance"})
    if scaling:
        found.append(
            f"The CPU's frequency governor is {' and '.join(scaling)}, so figures depend on what ran before; set it to "
            "performance (cpupower frequency-set -g performance)."
        )
    if load_before is not None and load_before > max(cores - threads, 0) + 0.5:
        found.append(
            f"Other programs load the machine: {load_before:.1f} processes wanted to run on {cores} cores before this began."
        )
    moving = {name: stages[name]["spread"] for name in IN_ROUNDS if (stages[name]["spread"] or 1.0) > SPREAD}
    if moving:
        told = " and ".join(f"{spread} times as long in one round as in another ({name})" for name, spread in moving.items())
        found.append(f"The machine's speed changed during the run: its median was {told}.")
    if in_memory(folder, mounts):
        found.append(
            f"The temporary folder {folder} is in memory, so enroll and adapt waited for no disk; set TMPDIR to one on disk."
        )
    return found


def in_memory(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether a folder is in a file system that has no disk; False where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return False
    inside = [(point, kind) for _, point, kind, *_ in lines if folder.is_relative_to(point)]
    return bool(inside) and max(inside, key=lambda each: len(each[0]))[1] in ("tmpfs", "ramfs")
