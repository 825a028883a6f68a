"""The demo's report: one HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from edge_meta.datasets import Dataset
from edge_meta.evaluation.enrolled_task import EnrolledTask
from edge_meta.evaluation.interval import Interval
from edge_meta.reports.page import page, section

COLOURS = {"float32": "#1f6feb", "int8": "#d9730d"}
PERCENTILES = {"p50_us": "#1f6feb", "p90_us": "#79b8ff", "p99_us": "#c8e1ff"}
STAGES = ("preprocess", "embed", "score", "total")


def render(
    result: Mapping[str, Any],
    test: Dataset,
    task: EnrolledTask,
    history: list[dict[str, Any]],
    by_shots: Mapping[int, tuple[Interval, Interval]],
) -> str:
    """The page.

    Args:
        result: what result.json holds.
        test: the split that the task's examples come from.
        history: the training run's metrics.
        by_shots: shots → 20-way accuracy of float32 and of int8.
    """
    summary = result["task"]
    sections = [
        f"<h1>edge_meta on {html.escape(result['dataset'])}</h1>",
        f'<p class="quiet">An encoder was meta-learned, exported to int8, and taught classes it never saw, in '
        f"{result['seconds']:.0f} s.</p>",
        section(
            "Sample episodes",
            f"Each row is a class that training never saw: on the left one of the {summary['shot']} examples it was "
            "enrolled from, then images to classify. Green: the right label was nearest; red: another was.",
            _episode(test, task),
        ),
        section("Training curve", "Loss of the training episodes, and accuracy on validation classes.", _curve(history)),
        section("Accuracy on new classes", html.escape(result["protocol"]) + "; 95 % intervals.", _table(result)),
        section("Accuracy by shots", "20-way, on new classes; bars are 95 % intervals.", _by_shots(by_shots)),
        section(
            f"An enrolled {summary['way']}-way task",
            f"{summary['closed_set']:.1%} of the queries are nearest to their own class, {summary['adapted']:.1%} after "
            f"adapting the last layer. {summary['rejected_strangers']:.0%} of strangers and "
            f"{summary['rejected_known']:.0%} of queries were called unknown. Rows: true class; columns: nearest label.",
            _confusion(test, task),
        ),
        section("Latency", _host(result["benchmark"]), _latency(result["benchmark"])),
    ]
    return page(f"edge_meta: {result['dataset']}", sections)


def _picture(image: NDArray[np.uint8]) -> str:
    """A uint8 (height, width, channels) image as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _episode(test: Dataset, task: EnrolledTask, classes: int = 6, queries: int = 9) -> str:
    enrolled = task.examples.shape[1] - len(task.answers[0])
    rows = []
    for row in range(min(classes, len(task.examples))):
        support, asked = task.examples[row, 0], task.examples[row, enrolled : enrolled + queries]
        cells = [
            f'<td><img src="{_picture(test.examples[support])}" alt="{html.escape(test.class_names[test.labels[support]])}">'
        ]
        for query, answer in zip(asked, task.answers[row], strict=False):
            kind = "right" if answer == row else "wrong"
            cells.append(f'<td><img class="{kind}" src="{_picture(test.examples[query])}" alt="{kind}">')
        rows.append("<tr>" + "".join(cells))
    return f'<table class="episode">{"".join(rows)}</table>'


def _curve(history: list[dict[str, Any]]) -> str:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    episodes = [row["episode"] for row in history]
    losses.plot(episodes, [row["loss"] for row in history], color="#57606a")
    losses.set(xlabel="training episodes", ylabel="loss", ylim=(0, None))
    judged = [row for row in history if "val_accuracy" in row]
    means, errors = (np.array([100 * row[key] for row in judged]) for key in ("val_accuracy", "val_ci95"))
    at = [row["episode"] for row in judged]
    accuracy.plot(at, means, color=COLOURS["float32"])
    accuracy.fill_between(at, means - errors, means + errors, color=COLOURS["float32"], alpha=0.2, linewidth=0)
    accuracy.set(xlabel="training episodes", ylabel="validation accuracy, %")
    return _svg(figure, "Training loss and validation accuracy by episodes")


def _table(result: Mapping[str, Any]) -> str:
    rows = ["<tr><th>episodes<th>float32<th>int8"]
    for case in result["accuracy"]["float32"]:
        cells = [Interval(result["accuracy"][kind][case], result["ci95"][kind][case]) for kind in ("float32", "int8")]
        way, shot = case.rstrip("s").split("w")
        rows.append(f"<tr><td>{way}-way {shot}-shot<td>{cells[0]}<td>{cells[1]}")
    return f"<table>{''.join(rows)}</table>"


def _by_shots(by_shots: Mapping[int, tuple[Interval, Interval]]) -> str:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    # The two lie on each other when quantization costs nothing; side by side both can be seen.
    for index, (kind, colour) in enumerate(COLOURS.items()):
        cells = [pair[index] for pair in by_shots.values()]
        axes.errorbar(
            np.arange(len(by_shots)) + (index - 0.5) * 0.12, [100 * cell.mean for cell in cells],
            [100 * cell.ci95 for cell in cells], fmt="os"[index], color=colour, capsize=3, label=kind,
        )  # fmt: skip
    axes.set_xticks(range(len(by_shots)), [str(shot) for shot in by_shots])
    axes.set(xlabel="shots", ylabel="accuracy, %")
    axes.legend(frameon=False, loc="lower right")
    return _svg(figure, "20-way accuracy by number of shots, float32 and int8")


def _confusion(test: Dataset, task: EnrolledTask) -> str:
    """A grid with the classes' own pictures along both sides, since their names are often characters without a font."""
    way, side = len(task.confusion), 30
    pictures = [_picture(test.examples[examples[0]]) for examples in task.examples]
    parts = []
    for index, picture in enumerate(pictures):
        at, size = (index + 1) * side, side - 4
        for x, y in ((0, at), (at, 0)):
            parts.append(f'<image href="{picture}" x="{x + 2}" y="{y + 2}" width="{size}" height="{size}"/>')
    rows = task.confusion.sum(axis=1)
    for (row, column), count in np.ndenumerate(task.confusion):
        share = count / rows[row]
        colour = "31,111,235" if row == column else "207,34,46"
        x, y = (column + 1) * side, (row + 1) * side
        fill = f'fill="rgba({colour},{share:.2f})" stroke="#d8dee4"'
        parts.append(f'<rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" {fill}/>')
        if count:
            ink = "#fff" if share > 0.5 else "#1c2128"
            middle = f'x="{x + side / 2}" y="{y + side / 2 + 4}" text-anchor="middle"'
            parts.append(f'<text {middle} font-size="12" fill="{ink}">{count}</text>')
    edge = (way + 1) * side
    return f'<svg viewBox="0 0 {edge} {edge}" width="{edge}" role="img" aria-label="Confusion matrix">{"".join(parts)}</svg>'


def _latency(timing: Mapping[str, Any]) -> str:
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    for index, (percentile, colour) in enumerate(PERCENTILES.items()):
        values = [timing["stages"][stage][percentile] for stage in STAGES]
        at = np.arange(len(STAGES)) + (index - 1) * 0.27
        bars = axes.barh(at, values, 0.25, label=percentile.removesuffix("_us"), color=colour)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=8)
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.invert_yaxis()
    axes.set_xlabel("µs")
    axes.legend(frameon=False)
    return _svg(figure, "Latency of the stages of one classification")


def _host(timing: Mapping[str, Any]) -> str:
    host = timing["host"]
    peak = "" if timing["peak_rss_mb"] is None else f", peak memory {timing['peak_rss_mb']:.0f} MB"
    return html.escape(
        f"{timing['backend']}, {timing['threads']} thread, {timing['model_bytes']:,} bytes, on {host['cpu']}, {host['os']}. "
        f"Enrolling one shot takes {timing['enroll_us']:,.0f} µs, an adapt step {timing['adapt_step_us']:,.0f} µs, a cold "
        f"start {timing['cold_start_ms']:,.0f} ms{peak}."
    )


def _svg(figure: Figure, description: str) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    # Text stays text, in the page's own font.
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg")
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1)
