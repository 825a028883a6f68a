"""Energy counters in a folder, in place of the system's."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.device import ENERGY_RANGE, powercap

from edge_meta.benchmarking.energy_counters import Counters, Energy, measure
from edge_meta.errors import BackendError


def test_counters_add_up_over_packages_and_go_round(tmp_path: Path) -> None:
    counters = Counters(powercap(tmp_path, 1_000_000, ENERGY_RANGE - 499_999))
    powercap(tmp_path, 3_000_000, 1_500_000)
    assert counters.joules() == pytest.approx(2.0 + 2.0)
    assert counters.joules() == 0.0


def test_energy_is_what_is_above_idle(tmp_path: Path) -> None:
    """3 W when idle, and 0.25 J for each classification of a second."""
    now, spent = 0.0, 0.0

    def pass_time(seconds: float, joules: float = 0.0) -> None:
        nonlocal now, spent
        now, spent = now + seconds, spent + 3.0 * seconds + joules
        powercap(tmp_path, round(1e6 * spent), 0)

    counters = Counters(powercap(tmp_path, 0, 0))
    told = measure(lambda: pass_time(1.0, 0.25), counters, duration=8.0, clock=lambda: now, rest=pass_time)
    assert told == Energy(joules_per_classification=0.25, idle_watts=3.0, busy_watts=3.25, classifications=8)


def test_counters_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="shows no energy counters"):
        Counters(tmp_path)
    (
        powercap(tmp_path, 1) / "intel-rapl:0" / "energy_uj"
    ).unlink()  # root may read what it may not, so a missing file stands for it
    with pytest.raises(BackendError, match=r"cannot be read .*sudo"):
        Counters(tmp_path)
