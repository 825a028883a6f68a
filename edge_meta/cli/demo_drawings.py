"""The demo on drawings: from nothing to a bundle that has learned classes it never saw."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_meta import files
from edge_meta.benchmarking.runner import BenchmarkConfig, benchmark
from edge_meta.cli.demo_folder import REPORT, RESULT, check_writable, new_classifier, remove_run
from edge_meta.cli.progress import TrainingProgress, duration, note
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.enrolled_task import TASK_SHOT, TASK_WAY, enroll_and_classify
from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.embedding import embed_all
from edge_meta.types import Array

CASES = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
SHOTS = (1, 2, 3, 5, 10)
QUERIES = 10  # of each class in an episode that accuracy is measured on


@dataclass(frozen=True)
class DemoConfig:
    """The amount of training and evaluation: a few minutes on two cores. A run for use takes ten times as long.

    Attributes:
        way, shot, query, episodes: of training.
        evaluated_episodes: that each accuracy is measured on.
        benchmark: how much the benchmark measures.
    """

    way: int = 60
    shot: int = 1
    query: int = 2
    episodes: int = 320
    evaluated_episodes: int = 600
    benchmark: BenchmarkConfig = field(default_factory=lambda: BenchmarkConfig(sweep=False))


def run_demo(dataset: str, folder: Path, config: DemoConfig | None = None) -> dict[str, Any]:
    """Write run, bundle, report.html and result.json into a folder, and return the content of result.json."""
    from converters import export_bundle
    from edge_meta.reports import demo_page
    from edge_meta.training.config import TrainingConfig
    from edge_meta.training.embeddings import embed_images
    from edge_meta.training.pipeline import train

    started = time.monotonic()
    config = config or DemoConfig()
    check_writable(folder)
    remove_run(folder / "run")

    episodes = f"{config.episodes} episodes of {config.way} classes, {config.shot} example each"
    note(f"1/5  Meta-learning an encoder on {dataset}: {episodes}")
    training = TrainingConfig(
        dataset=dataset, way=config.way, shot=config.shot, query=config.query, episodes=config.episodes
    )
    run = train(training, folder / "run", on_progress=TrainingProgress())

    note("2/5  Exporting it to int8 for devices")
    bundle = export_bundle(run.path, folder / f"{dataset}.bundle", quantize="int8", overwrite=True, on_note=_detail)

    note("3/5  Evaluating float32 and int8 on classes that neither has seen")
    input_spec = training.input
    test = load_dataset(dataset, "test", input_spec)
    with new_classifier(bundle, folder) as classifier:
        embeddings = {
            "float32": embed_images(run.load_encoder(), input_spec, test.examples),
            "int8": embed_all(classifier.encoder, input_spec, test.examples),
        }

        def accuracy(values: Array, way: int, shot: int) -> Interval:
            sampler = EpisodeSampler(test, min(way, len(test.class_names)), shot, QUERIES, seed=0)
            return Interval.of(accuracies(values, sampler, config.evaluated_episodes))

        by_case = {kind: {case: accuracy(values, *CASES[case]) for case in CASES} for kind, values in embeddings.items()}
        by_shots = {shot: [accuracy(values, 20, shot) for values in embeddings.values()] for shot in SHOTS}

        note(f"4/5  Enrolling {TASK_WAY} of those classes from {TASK_SHOT} examples each, on the device's side")
        task = enroll_and_classify(classifier, test)
    timing = benchmark([bundle], config.benchmark)

    note("5/5  Drawing the report")
    result: dict[str, Any] = {
        "dataset": dataset,
        "accuracy": {kind: {case: cell.mean for case, cell in cells.items()} for kind, cells in by_case.items()},
        "ci95": {kind: {case: cell.ci95 for case, cell in cells.items()} for kind, cells in by_case.items()},
        "protocol": f"test classes, {QUERIES} queries, {config.evaluated_episodes} episodes, prototypes, frozen batch norm",
        "task": task.summary(),
        "benchmark": timing.to_json(),
        "seconds": round(time.monotonic() - started, 1),
    }
    history = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    files.write_text(folder / REPORT, demo_page.render(result, timing, test, task, history, by_shots))
    files.write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def account(result: Mapping[str, Any], folder: Path) -> Sequence[str]:
    """Return the lines that sum up a demo for people."""
    task, timing = result["task"], result["benchmark"]
    lines = ["", f"{'accuracy on new classes':<26}{'float32':>18}{'int8':>18}"]
    for case, (way, shot) in CASES.items():
        cells = [f"{Interval(result['accuracy'][kind][case], result['ci95'][kind][case])}" for kind in ("float32", "int8")]
        lines.append(f"{f'{way}-way {shot}-shot':<26}{cells[0]:>18}{cells[1]:>18}")
    stages = timing["stages"]
    return [
        *lines,
        "",
        f"{task['way']} classes enrolled from {task['shot']} examples each, {task['query']} queries a class:",
        f"  {task['closed_set']:.1%} right; {task['adapted']:.1%} after adapting the last layer "
        f"(loss {task['loss_before']:.4f} → {task['loss_after']:.4f});",
        f"  {task['rejected_strangers']:.0%} of strangers and {task['rejected_known']:.0%} of queries called unknown.",
        f"One classification: {stages['total']['p50_us']:,.0f} µs, of which {stages['embed']['p50_us']:,.0f} µs in the "
        f"encoder ({timing['backend']}, {timing['model_bytes']:,} bytes).",
        "",
        f"Took {duration(result['seconds'])}. Report: {folder / REPORT}",
        f"Try it: edge-meta enroll {folder / result['dataset']}.bundle LABEL FILE...",
    ]


def _detail(text: str) -> None:
    note(f"     {text}")
