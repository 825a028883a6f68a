"""Measure joules per classification with the CPU packages' counters that Linux shows (RAPL, on Intel's and AMD's CPUs).

The counters are of the whole package, whatever runs on it. So the power of an idle package is measured first and subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_meta.benchmarking.timing import Clock, Work
from edge_meta.errors import BackendError

POWERCAP = Path("/sys/class/powercap")
SECONDS = 1.0  # the counters move about a thousand times a second


@dataclass(frozen=True)
class Energy:
    """Energy of classifying.

    Attributes:
        joules_per_classification: above idle, to three digits.
        idle_watts, busy_watts: power of the packages, idle and while classifying.
        classifications: how many were measured.
    """

    joules_per_classification: float
    idle_watts: float
    busy_watts: float
    classifications: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Counters:
    """The energy counters of all CPU packages.

    Args:
        folder: where the system shows them.

    Raises:
        BackendError: the system shows none, or not to this user.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
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
        """Return the joules since the last call. A counter wraps around, so call again before it does so twice."""
        last, self._last = self._last, self._read()
        wrapping = zip(last, self._last, self._ranges, strict=True)
        return sum((now - before) % (most + 1) for before, now, most in wrapping) / 1e6

    def _read(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]


def measure(
    classify: Work,
    counters: Counters,
    duration: float = SECONDS,
    clock: Clock = time.perf_counter,
    rest: Callable[[float], None] = time.sleep,
) -> Energy:
    """Measure `duration` seconds of rest, and then as many of classifying."""
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
    joules = float(f"{(busy - idle_watts * taken) / done:.3g}")
    return Energy(joules, round(idle_watts, 2), round(busy / taken, 2), done)
