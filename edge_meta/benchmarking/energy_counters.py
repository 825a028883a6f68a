"""Joules per classification, from the counters of the CPU packages that Linux shows (RAPL, on Intel's and AMD's CPUs).

The counters are of the whole package, whatever runs on it, so what it takes when idle is measured first and taken off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_meta.benchmarking.timing import Work
from edge_meta.errors import BackendError

POWERCAP = Path("/sys/class/powercap")
SECONDS = 1.0  # the counters move about a thousand times a second


class Counters:
    """The energy counters of all CPU packages.

    Args:
        folder: where the system shows them.

    Raises:
        BackendError: it shows none, or not to this user.
    """

    def __init__(self, folder: Path) -> None:
        # intel-rapl:0 is a package, intel-rapl:0:0 a part of it; intel-rapl-mmio shows the same packages once more.
        self._zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        try:
            self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
            self._last = self._read()
        except (OSError, ValueError) as error:
            raise BackendError(
                f"The energy counters cannot be read ({error}).", "Linux shows them to root alone: run it with sudo."
            ) from None
        if not self._zones:
            raise BackendError(f"This machine shows no energy counters ({folder}/intel-rapl:*).", "Use a power meter.")

    def joules(self) -> float:
        """Since the last call, at most one turn of a counter ago."""
        last, self._last = self._last, self._read()
        turned = zip(last, self._last, self._ranges, strict=True)
        return sum((now - before) % (most + 1) for before, now, most in turned) / 1e6

    def _read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]


def energy(
    classify: Work,
    counters: Counters,
    duration: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    rest: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Measure an idle and a busy stretch of so many seconds.

    Returns:
        joules_per_classification, above idle; idle_watts and busy_watts; classifications.
    """
    counters.joules()
    started = clock()
    rest(duration)
    idle_watts = counters.joules() / (clock() - started)
    done, started = 0, clock()
    while clock() - started < duration:
        classify()
        done += 1
    taken = clock() - started
    busy = counters.joules()
    return {
        "joules_per_classification": float(f"{(busy - idle_watts * taken) / done:.3g}"),
        "idle_watts": round(idle_watts, 2),
        "busy_watts": round(busy / taken, 2),
        "classifications": done,
    }
