"""The demo's report: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.benchmarking.results import Benchmark
from edge_meta.datasets import Dataset
from edge_meta.evaluation.enrolled_task import EnrolledTask
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs.png import write_png
from edge_meta.reports.accuracy_charts import intervals
from edge_meta.reports.benchmark_page import stage_chart
from edge_meta.reports.benchmark_text import machine, memory, runtime
from edge_meta.reports.confusion import confusion_matrix
from edge_meta.reports.episodes_page import curves
from edge_meta.reports.page import escaped, page, picture_uri, section

KINDS = ("float32", "int8")


def render(
    result: Mapping[str, Any],
    benchmark: Benchmark,
    test: Dataset,
    task: EnrolledTask,
    history: Sequence[Mapping[str, Any]],
    by_shots: Mapping[int, Sequence[Interval]],
) -> str:
    """Return the page.

    Args:
        result: the content of result.json.
        test: the split that the task's examples come from.
        history: the training run's metrics.
        by_shots: shots → 20-way accuracy of each of `KINDS`.
    """
    summary = result["task"]
    sections = [
        f"<h1>edge_meta on {escaped(result['dataset'])}</h1>",
        f'<p class="quiet">An encoder was meta-learned, exported to int8, and taught classes it never saw, in '
        f"{result['seconds']:.0f} s.</p>",
        section(
            "Sample episodes",
            f"Each row is a class that training never saw: on the left one of the {summary['shot']} examples it was "
            "enrolled from, then images to classify. Green: the right label was nearest; red: another was.",
            _episode(test, task),
        ),
        section("Training curve", "Loss of the training episodes, and accuracy on validation classes.", curves(history)),
        section("Accuracy on new classes", escaped(result["protocol"]) + "; 95 % intervals.", _table(result)),
        section("Accuracy by shots", "20-way, on new classes; bars are 95 % intervals.", _by_shots(by_shots)),
        section(
            f"An enrolled {summary['way']}-way task",
            f"{summary['closed_set']:.1%} of the queries are nearest to their own class, {summary['adapted']:.1%} after "
            f"adapting the last layer. {summary['rejected_strangers']:.0%} of strangers and "
            f"{summary['rejected_known']:.0%} of queries were called unknown. Rows: true class; columns: nearest label.",
            confusion_matrix(task.confusion, [_picture(test.examples[examples[0]]) for examples in task.examples]),
        ),
        section("Latency", _latency(benchmark), stage_chart([benchmark.first])),
    ]
    return page(f"edge_meta: {result['dataset']}", sections)


def _picture(image: NDArray[np.uint8]) -> str:
    """Return an image (height, width, channels) as a data URI."""
    return picture_uri(write_png(image))


def _episode(test: Dataset, task: EnrolledTask, classes: int = 6, queries: int = 9) -> str:
    enrolled = task.examples.shape[1] - len(task.answers[0])
    rows = []
    for row in range(min(classes, len(task.examples))):
        support, asked = task.examples[row, 0], task.examples[row, enrolled : enrolled + queries]
        cells = [
            f'<td><img src="{_picture(test.examples[support])}" alt="{escaped(test.class_names[test.labels[support]])}">'
        ]
        for query, answer in zip(asked, task.answers[row], strict=False):
            kind = "right" if answer == row else "wrong"
            cells.append(f'<td><img class="{kind}" src="{_picture(test.examples[query])}" alt="{kind}">')
        rows.append("<tr>" + "".join(cells))
    return f'<table class="episode">{"".join(rows)}</table>'


def _table(result: Mapping[str, Any]) -> str:
    rows = ["<tr><th>episodes" + "".join(f"<th>{kind}" for kind in KINDS)]
    for case in result["accuracy"]["float32"]:
        cells = [Interval(result["accuracy"][kind][case], result["ci95"][kind][case]) for kind in KINDS]
        way, shot = case.rstrip("s").split("w")
        rows.append(f"<tr><td>{way}-way {shot}-shot<td>{cells[0]}<td>{cells[1]}")
    return f"<table>{''.join(rows)}</table>"


def _by_shots(by_shots: Mapping[int, Sequence[Interval]]) -> str:
    rows = {
        kind: [Interval(100 * cells[at].mean, 100 * cells[at].ci95) for cells in by_shots.values()]
        for at, kind in enumerate(KINDS)
    }
    description = "20-way accuracy by number of shots, float32 and int8"
    return intervals(description, rows, [str(shot) for shot in by_shots], "shots", "accuracy, %")


def _latency(benchmark: Benchmark) -> str:
    first = benchmark.first
    used = memory(first.cold_start)
    return escaped(
        f"{runtime(benchmark.options)}, {first.model_bytes:,} bytes, on {machine(benchmark.host)}. Median of each stage; "
        f"the thin line goes on to the 99th percentile. A cold start takes {first.cold_start.total_ms:,.0f} ms"
        f"{'' if used is None else f', memory of the process: {used}'}."
    )
