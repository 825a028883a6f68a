"""benchmarks/growth.py: its exponents against known power laws, and what it writes."""

import importlib.util
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "growth.py"


@pytest.fixture(scope="module")
def growth():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENBLAS_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL"):
            patch.setenv(name, "1")  # so that importing it changes nothing for the tests after this one
        patch.syspath_prepend(SCRIPT.parent)
        spec = importlib.util.spec_from_file_location("growth", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "growth", module)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.0])
def test_an_exact_power_law_is_found_behind_a_fixed_cost(growth, exponent):
    x = np.geomspace(10, 10_000, 12)
    y = np.where(x < 100, 50.0, 3.0 * x**exponent)  # what the smaller half shows does not count
    assert growth.fit(x, y) == pytest.approx((exponent,) * 3, abs=1e-9)


def test_the_interval_holds_the_exponent_in_95_percent(growth):
    """Of 2,000 intervals, give or take chance; with the normal distribution's quantile it would be 88 %."""
    rng, x, held = np.random.default_rng(0), np.geomspace(1, 1000, 12), 0
    for _ in range(2000):
        _, low, high = growth.fit(x, x**1.5 * np.exp(rng.normal(0, 0.3, len(x))))
        held += low <= 1.5 <= high
    assert 0.935 <= held / 2000 <= 0.965


def test_every_cost_is_measured_and_drawn(growth, tmp_path):
    small = [
        growth.Growth(each.cost, each.by, [2, 3, 4, 5, 6, 7], each.prepare, each.why)
        for each in growth.GROWTHS
        if each.by != "pixels"
    ]
    pixels = [growth.Growth("resize", "pixels", [n**2 for n in range(30, 36)], growth.GROWTHS[-2].prepare)]
    rows = [growth.measure(each, runs=1) for each in (*small, *pixels)]
    growth.write({"growths": rows}, tmp_path / "host")
    assert json.loads((tmp_path / "host" / "growth.json").read_text()) == {"growths": rows}
    assert [(row["cost"], row["by"]) for row in rows] == [(each.cost, each.by) for each in (*small, *pixels)]
    for row in rows:
        assert all(median > 0 for median in row["points"].values())
        assert row["ci95"][0] <= row["exponent"] <= row["ci95"][1]
        assert bool(row["note"]) == (row["ci95"][0] > 1.0)
    drawings = sorted(path.name for path in (tmp_path / "host").glob("*.svg"))
    assert drawings == [f"growth-{cost}.svg" for cost in ("adapt-step", "enroll", "open-a-store", "resize", "score")]
    for name in drawings:
        ElementTree.parse(tmp_path / "host" / name)


def test_encoders_of_other_sizes_are_embedded_with(growth):
    embed = growth.GROWTHS[-1]
    assert (embed.cost, embed.by) == ("embed", "pixels")
    assert len(embed.prepare(None, 16**2)(3)) == 3
