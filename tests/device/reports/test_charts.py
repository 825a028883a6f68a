"""Charts as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from edge_meta.evaluation.interval import Interval
from edge_meta.reports import charts, svg
from edge_meta.reports.accuracy_charts import curve, intervals
from edge_meta.reports.axes import MOST_TICKS, LinearAxis


def attributes(drawing: str, tag: str, name: str) -> list[float]:
    found = ElementTree.fromstring(drawing).iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [float(element.attrib[name]) for element in found]


def points(drawing: str, tag: str) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(drawing).iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    pairs = [[pair.split(",") for pair in element.attrib["points"].split()] for element in found]
    return [[(float(x), float(y)) for x, y in each] for each in pairs]


def test_bars_are_as_long_as_the_logarithms_of_their_values() -> None:
    rows = [charts.Bar("one", 1.0), charts.Bar("ten", 10.0), charts.Bar("hundred", 100.0, upper=1000.0)]
    one, ten, hundred = attributes(charts.bars("lengths", rows, "µs"), "rect", "width")
    assert 0 < one < ten < hundred < svg.WIDTH
    assert hundred - ten == pytest.approx(ten - one, abs=0.2)


def test_a_power_law_is_a_straight_line_and_everything_is_inside() -> None:
    drawing = charts.log_log(
        "a law", {"cubic": [(x, x**3) for x in (1.0, 10.0, 100.0)]}, "x", "y", {"cubic": [(1, 1), (100, 1e6)]}
    )
    across, up = attributes(drawing, "circle", "cx"), attributes(drawing, "circle", "cy")
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert up[1] - up[0] == pytest.approx(up[2] - up[1], abs=0.2)
    assert up[0] > up[2]  # larger is higher
    assert 0 <= min(across) <= max(across) <= svg.WIDTH
    assert min(up) >= 0


@pytest.mark.parametrize("values", [[1.0, 1e9], [30.0, 80.0], [47.0, 48.0], [5.0]])
def test_charts_of_any_range_are_drawn(values: list[float]) -> None:
    drawing = charts.log_log("a range", {"values": [(value, value) for value in values]}, "x", "y")
    assert len(attributes(drawing, "text", "x")) <= 2 * (MOST_TICKS + 2) + 3
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
    assert svg.number(value) == text


def test_a_band_holds_the_curve_and_its_intervals() -> None:
    drawing = curve("a curve", {10: Interval(50.0, 10.0), 20: Interval(70.0, 5.0)}, "episodes", "%")
    (line,), (band,) = points(drawing, "polyline"), points(drawing, "polygon")
    lower, upper = band[:2], band[:1:-1]
    for (x, y), (_, low), (_, high) in zip(line, lower, upper, strict=True):
        assert 0 < x < svg.WIDTH
        assert low > y > high  # pixels count from the top
        assert low - y == pytest.approx(y - high, abs=0.2)
    assert line[1][1] < line[0][1]


def test_a_curve_leaves_out_what_is_not_finite() -> None:
    values = {1: Interval(2.0, 0.0), 2: Interval(float("nan"), 0.0), 3: Interval(1.0, float("nan"))}
    assert [len(line) for line in points(curve("a loss", values, "episodes", "loss"), "polyline")] == [2]
    assert curve("nothing", {}, "episodes", "loss") == ""


def test_intervals_of_a_column_stand_side_by_side() -> None:
    rows = {"float32": [Interval(90.0, 1.0)] * 2, "int8": [Interval(90.0, 1.0)] * 2}
    drawing = intervals("accuracies", rows, ["1", "5"], "shots", "%")
    across, up = attributes(drawing, "circle", "cx"), attributes(drawing, "circle", "cy")
    first, second, _, third, fourth, _ = across  # the last of each row is the legend's
    assert first < third < second < fourth
    assert up[0] == up[1] == up[3] == up[4]


@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [0.0, 320.0], [-1e-9, 1e-9], [97.1, 97.3]])
def test_linear_ticks_are_round_and_inside(values: list[float]) -> None:
    axis = LinearAxis(values, 0.0, 100.0)
    assert 2 <= len(axis.ticks) <= MOST_TICKS + 2
    assert all(0 <= axis(tick) <= 100 for tick in axis.ticks)
    assert all(0 <= axis(value) <= 100 for value in values)
