"""Find what on a machine makes a measurement unreliable, and warn of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CPUFREQ = Path("/sys/devices/system/cpu")
MOUNTS = Path("/proc/mounts")
LOADED = "Other programs load the machine"  # begins the warning of it
SPREAD = 1.25  # between rounds of a stage; on a quiet machine they differ by a few percent


def system_load() -> float | None:
    """Return how many processes wanted to run, averaged over the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def governors(folder: Path = CPUFREQ) -> set[str]:
    """Return the frequency governors of the CPUs; none where there are none, as in most virtual machines."""
    found = set()
    for file in folder.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        try:
            found.add(file.read_text().strip())
        except OSError:
            continue
    return found


def noise_warnings(
    load_before: float | None,
    threads: int,
    spreads: Mapping[str, float | None],
    folder: Path,
    cores: int | None = None,
    cpufreq: Path = CPUFREQ,
    mounts: Path = MOUNTS,
) -> list[str]:
    """Return a sentence for each thing that makes a run's figures unreliable.

    Args:
        load_before: `system_load` before the run, which loads the machine itself.
        threads: that the run needs.
        spreads: stage → `StageTiming.spread`, of stages that were timed in rounds.
        folder: where the temporary stores are.
        cores: of the machine; asked of the system by default.
        cpufreq, mounts: where the system tells of its CPUs' frequencies and its file systems.
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
        found.append(f"{LOADED}: {load_before:.1f} processes wanted to run on {cores} cores before this began.")
    moving = {stage: spread for stage, spread in spreads.items() if (spread or 1.0) > SPREAD}
    if moving:
        told = " and ".join(f"{spread} times as long in one round as in another ({name})" for name, spread in moving.items())
        found.append(f"The machine's speed changed during the run: its median was {told}.")
    if in_memory(folder, mounts):
        found.append(
            f"The temporary folder {folder} is in memory, so enroll and adapt waited for no disk; set TMPDIR to one on disk."
        )
    return found


def in_memory(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Tell whether a folder is in a file system that has no disk; False where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return False
    inside = [(point, kind) for _, point, kind, *_ in lines if folder.is_relative_to(point)]
    return bool(inside) and max(inside, key=lambda each: len(each[0]))[1] in ("tmpfs", "ramfs")
