"""benchmarks/busy_neighbour.py: what it measures, and that it leaves no neighbour behind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "busy_neighbour.py"
WORKS = ["adapt", "score", "resize"]


@pytest.fixture(scope="module")
def busy_neighbour() -> ModuleType:
    spec = importlib.util.spec_from_file_location("busy_neighbour", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_work_is_timed_idle_and_busy(busy_neighbour: ModuleType) -> None:
    result = busy_neighbour.measure(runs=1, limit=1.0, classes=50)
    for cores in ("idle", "busy"):
        assert list(result[cores]) == WORKS
        for row in result[cores].values():
            assert row["ratio"] == pytest.approx(row["unlimited_us"] / row["limited_us"], rel=0.05, abs=0.01)
    assert result["numpy_threads"] >= 1
    assert 0 < result["limit_us"] < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="lists the children in /proc")
def test_no_neighbour_is_left_behind(busy_neighbour: ModuleType) -> None:
    children = Path("/proc/thread-self/children")
    before = children.read_text().split()
    with busy_neighbour.busy_neighbours(2):
        assert len(children.read_text().split()) == len(before) + 2
    assert children.read_text().split() == before
