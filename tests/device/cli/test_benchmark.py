"""edge-meta benchmark as a user runs it: the table, the JSON object, the page, and comparing with an earlier run."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.device import cli, complaint, python

from edge_meta.benchmarking import cold_start, stages, sweep
from edge_meta.benchmarking import runner as package
from edge_meta.reports import charts
from edge_meta.reports.benchmark_page import render
from edge_meta.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> dict[str, Any]:
    """What the benchmark measures, with energy counters of which no machine here can be sure, and a back end that fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "BY_CLASSES", (5, 40))
        patch.setattr(stages, "SHOTS", 2)
        patch.setattr(cold_start, "STARTS", 1)
        patch.setattr(sweep, "THREADS", (1,))
        patch.setattr(package, "installed", list)
        measured = package.benchmark([bundle], runs=2, warmup=0)
    energy = {"joules_per_classification": 2.5e-4, "idle_watts": 3.0, "busy_watts": 5.5, "classifications": 9}
    failed = {"backend": "tflite", "threads": 1, "xnnpack": False, "delegate": None, "error": "It is <gone>."}
    return {**measured, "energy": energy, "side_by_side": [*measured["side_by_side"], failed]}


@pytest.fixture
def measured(result: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the verb is given in place of measuring: a copy, which may be changed."""
    given = copy.deepcopy(result)
    monkeypatch.setattr(package, "benchmark", lambda *arguments: copy.deepcopy(given))
    return given


def test_measures_and_prints_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "BY_CLASSES", (5,))
    monkeypatch.setattr(stages, "SHOTS", 2)
    monkeypatch.setattr(cold_start, "STARTS", 1)
    monkeypatch.setattr(stages, "ADAPTATIONS", 1)
    done = cli("benchmark", "omniglot", "--runs", 3, "--warmup", 0, "--no-sweep", "--no-xnnpack", "--json")
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert (told["runs"], told["xnnpack"], told["side_by_side"]) == (3, False, [])
    assert "fresh processes" in done.stderr


def test_prints_tables(measured: dict[str, Any]) -> None:
    measured["warnings"], measured["notes"] = ["The machine is busy."], ["No counters."]
    other = {**copy.deepcopy(measured), "bundle": "other", "quantization": "float32", "steady_rss_mb": None}
    measured["others"] = [other]
    text = cli("benchmark", "omniglot").stdout
    lines = text.splitlines()
    for name, stage in measured["stages"].items():
        assert any(line.startswith(f"{name} ") and f"{stage['p50_us']:,.1f}" in line for line in lines)
    assert "omniglot, int8, " in text
    assert "other, float32, " in text
    assert f"{measured['backend']}, 1 thread" in text
    assert "tflite, 1 thread, no XNNPACK: It is <gone>." in text
    assert "energy: 0.25 mJ a classification" in text
    assert lines[-2:] == ["Note: No counters.", "Warning: The machine is busy."]


def test_an_earlier_run_is_compared_with(measured: dict[str, Any], tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(cli("benchmark", "omniglot", "--json").stdout)
    told = json.loads(cli("benchmark", "omniglot", "--baseline", before, "--json").stdout)
    assert told["baseline"]["slower"] == []
    assert set(told["baseline"]["ratios"].values()) == {1.0}

    measured["stages"]["embed"]["p50_us"] = 1.5 * measured["stages"]["embed"]["p50_us"] + 10.0
    failed = cli("benchmark", "omniglot", "--baseline", before, "--json", code=1)
    assert json.loads(failed.stdout)["baseline"]["slower"] == ["embed"]
    assert f"Error: Slower than {before} by more than a factor of 1.2: embed " in failed.stderr
    assert "embed" in cli("benchmark", "omniglot", "--baseline", before, "--max-regression", 1e6).stdout


def test_a_bad_baseline_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert "--json" in complaint(cli("benchmark", "omniglot", "--baseline", tmp_path / "other.json", code=1))
    assert "folder" in complaint(cli("benchmark", "omniglot", "--report", tmp_path / "no" / "page.html", code=1))
    assert cli("benchmark", "omniglot", "--max-regression", 0.5, code=2).stdout == ""
    assert cli("benchmark", code=2).stdout == ""


# The page


def test_the_report_needs_no_other_file(measured: dict[str, Any], tmp_path: Path) -> None:
    cli("benchmark", "omniglot", "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    for title in ("Stages", "Scoring by number of classes", "Cold start", "Side by side"):
        assert f"<h2>{title}</h2>" in page
    drawings = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # or it is not well-formed
    assert re.findall(r"(?:src|href|url)\s*[=(]|<script|@import", page) == []
    assert all(f">{name}<" in page for name in measured["stages"])


def test_the_report_escapes_what_it_is_given(measured: dict[str, Any]) -> None:
    measured["bundle"], measured["warnings"] = "<b>&", ["a < b"]
    measured["baseline"] = {"ratios": {"embed": 1.25}, "slower": [], "max_regression": 1.2, "differs": []}
    page = render(measured)
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "It is &lt;gone&gt;." in page
    assert "a &lt; b" in page
    assert "<td>embed<td>1.25" in page


def test_the_report_is_drawn_without_matplotlib(measured: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(measured))
    done = python(
        tmp_path,
        "-c",
        "import json, sys\n"
        "from edge_meta.reports.benchmark_page import render\n"
        "render(json.load(open('result.json', encoding='utf-8')))\n"
        "print(*sys.modules.keys() & {'matplotlib', 'PIL', 'tensorflow'})",
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


# Charts


def attributes(drawing: str, tag: str, name: str) -> list[float]:
    found = ElementTree.fromstring(drawing).iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [float(element.attrib[name]) for element in found]


def test_bars_are_as_long_as_the_logarithms_of_their_values() -> None:
    rows = [charts.Bar("one", 1.0), charts.Bar("ten", 10.0), charts.Bar("hundred", 100.0, reach=1000.0)]
    one, ten, hundred = attributes(charts.bars("lengths", rows, "µs"), "rect", "width")
    assert 0 < one < ten < hundred < charts.WIDTH
    assert hundred - ten == pytest.approx(ten - one, abs=0.2)


def test_a_power_law_is_a_straight_line_and_everything_is_inside() -> None:
    drawing = charts.log_log(
        "a law", {"cubic": [(x, x**3) for x in (1.0, 10.0, 100.0)]}, "x", "y", {"cubic": [(1, 1), (100, 1e6)]}
    )
    across, up = attributes(drawing, "circle", "cx"), attributes(drawing, "circle", "cy")
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert up[1] - up[0] == pytest.approx(up[2] - up[1], abs=0.2)
    assert up[0] > up[2]  # larger is higher
    assert 0 <= min(across) <= max(across) <= charts.WIDTH
    assert min(up) >= 0


@pytest.mark.parametrize("values", [[1.0, 1e9], [30.0, 80.0], [47.0, 48.0], [5.0]])
def test_charts_of_any_range_are_drawn(values: list[float]) -> None:
    drawing = charts.log_log("a range", {"values": [(value, value) for value in values]}, "x", "y")
    assert len(attributes(drawing, "text", "x")) <= 2 * (charts.MOST_TICKS + 2) + 3
    charts.bars("a range", [charts.Bar("a", value) for value in values], "µs")


def test_parts_of_a_stack_add_up() -> None:
    drawing = charts.stacks("parts", [("a", [("x", 1.0), ("y", 3.0)]), ("b", [("x", 2.0), ("y", 0.0)])], "ms")
    first, second, third, fourth = attributes(drawing, "rect", "width")[:4]
    assert second == pytest.approx(3 * first, abs=0.3)
    assert third == pytest.approx(2 * first, abs=0.3)
    assert fourth == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.254, "0.254"), (2.0, "2"), (47.06, "47.1"), (999.6, "1,000"), (1480.6, "1,480"), (1e5, "100,000")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert charts.number(value) == text
