"""Measure how the device's costs grow with classes, shots, dimensions and image size: exponents of fitted power laws.

    python benchmarks/growth.py [--output FOLDER] [--json]

Print an exponent for each cost. It is the slope of a straight line through the larger half of the points on logarithmic
axes, by least squares, with its 95 % interval (Student's t): 0 is no growth, 1 is in proportion. In the smaller half, fixed
costs hide the growth. All points of a growth are timed in turn, and each is a median of CPU time, which other programs do
not stretch; enrolling, which waits for the disk, is a median of elapsed time. With --output, write growth.json and a chart
for each cost. Embedding by image size needs TensorFlow to make throw-away encoders, and is left out without it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

# NumPy's matrix products share large ones among threads, which wait for each other when anything else runs: what would be
# seen is where that begins.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from growth_costs import DIM, GROWTHS, Growth, Workbench

from edge_meta import files
from edge_meta.benchmarking import timing
from edge_meta.reports import charts
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.machine import host

RUNS, WARMUP, LIMIT = 30, 2, 3.0

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def fit(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Fit y = c·xᵏ to the larger half of the points; return k and the ends of its 95 % interval."""
    half = len(x) // 2
    across, up = np.log(np.asarray(x, np.float64)[half:]), np.log(np.asarray(y, np.float64)[half:])
    centred = across - across.mean()
    slope = float(centred @ up / (centred @ centred))
    residuals = up - up.mean() - slope * centred
    freedom = len(up) - 2
    error = T95[freedom - 1] * float(np.sqrt(residuals @ residuals / freedom / (centred @ centred)))
    return slope, slope - error, slope + error


def measure(growth: Growth, runs: int = RUNS) -> dict[str, Any]:
    """Measure a cost: points in µs, the exponent with its interval, and a note if it is above 1."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        bench = Workbench(Path(folder), Bundle.open("omniglot"), opened)
        samplers = {point: growth.prepare(bench, point) for point in growth.points}
        rounds = timing.in_turn(samplers, runs, WARMUP, LIMIT)
    medians = [1e6 * float(np.median(np.concatenate(rounds[point]))) for point in growth.points]
    exponent, low, high = fit(growth.points, medians)
    return {
        "cost": growth.cost,
        "by": growth.by,
        "points": {str(point): round(median, 1) for point, median in zip(growth.points, medians, strict=True)},
        "exponent": round(exponent, 2),
        "ci95": [round(low, 2), round(high, 2)],
        "note": (growth.why or "Faster than in proportion, for an unknown reason.") if low > 1.0 else "",
    }


def chart(cost: str, rows: Sequence[dict[str, Any]]) -> str:
    """Draw a cost by each of its variables, with the fitted lines."""
    lines, fits = {}, {}
    for row in rows:
        points = [(float(point), median) for point, median in row["points"].items()]
        name, upper = f"{row['by']}: {row['exponent']:.2f}", points[len(points) // 2 :]
        lines[name] = points
        (x0, x1), middle = (upper[0][0], upper[-1][0]), np.exp(np.mean(np.log(upper), axis=0))
        fits[name] = [(x, float(middle[1] * (x / middle[0]) ** row["exponent"])) for x in (x0, x1)]
    return charts.log_log(f"{cost} by {', '.join(lines)}", lines, "number; the labels tell the fitted exponents", "µs", fits)


def write(result: dict[str, Any], folder: Path) -> None:
    """Write growth.json and a chart for each cost into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "growth.json", json.dumps(result, indent=1) + "\n")
    for cost in dict.fromkeys(row["cost"] for row in result["growths"]):
        drawing = chart(cost, [row for row in result["growths"] if row["cost"] == cost])
        files.write_text(folder / f"growth-{cost.replace(' ', '-')}.svg", drawing + "\n")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="Folder for growth.json and the charts.")
@click.option("--json", "as_json", is_flag=True)
def main(output: Path | None, as_json: bool) -> None:
    """Measure how costs grow, and print the exponents."""
    installed = importlib.util.find_spec("tensorflow") is not None
    rows = []
    for growth in GROWTHS:
        if growth.cost == "embed" and not installed:
            click.echo("embed by pixels is left out: TensorFlow is not installed", err=True)
            continue
        click.echo(f"{growth.cost} by {growth.by}", err=True)
        rows.append(measure(growth))
    result = {"growths": rows, "dim": DIM, "host": host()}
    if output is not None:
        write(result, output)
    if as_json:
        click.echo(json.dumps(result))
        return
    for row in rows:
        low, high = row["ci95"]
        what = f"{row['cost']} by {row['by']}"
        click.echo(f"{what:<36}{row['exponent']:>6.2f}  ({low:.2f} to {high:.2f})  {row['note']}".rstrip())


if __name__ == "__main__":
    main()
