"""edge-meta demo: the whole job, from nothing to a bundle that has learned classes it never saw."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta import files
from edge_meta.benchmarking.runner import benchmark
from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import TrainingProgress, duration, note
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import Interval, accuracies
from edge_meta.evaluation.enrolled_task import TASK_SHOT, TASK_WAY, enroll_and_classify
from edge_meta.evaluation.evaluator import embed_all
from edge_meta.runtime.classifier import Classifier

# A few minutes on two cores. A run for use takes ten times as long: edge-meta train.
EPISODES = 320
WAY, SHOT, QUERY = 60, 1, 2

CASES = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
SHOTS = (1, 2, 3, 5, 10)
JUDGED_EPISODES = 600
JUDGED_QUERIES = 10


@click.command()
@click.option("--dataset", default="glyphs", show_default=True, type=click.Choice(["glyphs", "omniglot"]))
@click.option("--output", default="demo", show_default=True, metavar="DIR", help="Where the results go.")
@json_option
def demo(dataset: str, output: str, as_json: bool) -> None:
    """Do the whole job in a few minutes: meta-learn an encoder, export it, enroll classes that it never saw, classify,
    adapt, and time it all.

    \b
    Examples:
      edge-meta demo
      edge-meta demo --dataset omniglot --output demo-omniglot

    Look at DIR/report.html afterwards; DIR/NAME.bundle can be used with the other verbs.
    """
    from converters import export_bundle
    from edge_meta.reports import demo_page
    from edge_meta.training.base import embed
    from edge_meta.training.config import TrainingConfig, train

    started = time.monotonic()
    folder = Path(output)
    _clear_run(folder / "run")

    note(f"1/5  Meta-learning an encoder on {dataset}: {EPISODES} episodes of {WAY} classes, {SHOT} example each")
    config = TrainingConfig(dataset=dataset, way=WAY, shot=SHOT, query=QUERY, episodes=EPISODES)
    run = train(config, folder / "run", on_progress=TrainingProgress())

    note("2/5  Exporting it to int8 for devices")
    bundle = export_bundle(run.path, folder / f"{dataset}.bundle", quantize="int8", overwrite=True, on_note=_detail)

    note("3/5  Judging float32 and int8 on classes that neither has seen")
    test = load_dataset(dataset, "test", bundle.manifest.input_spec)
    store = folder / "demo.db"
    for journal in ("", "-wal", "-shm"):
        Path(f"{store}{journal}").unlink(missing_ok=True)
    with Classifier.load(bundle, store) as classifier:
        embeddings = {
            "float32": embed(run.load_encoder(), bundle.manifest.input_spec, test.examples),
            "int8": embed_all(classifier.encoder, bundle.manifest.input_spec, test.examples),
        }
        accuracy = {
            kind: {case: _judge(values, test, *CASES[case]) for case in CASES} for kind, values in embeddings.items()
        }
        by_shots = {shot: tuple(_judge(values, test, 20, shot) for values in embeddings.values()) for shot in SHOTS}

        note(f"4/5  Enrolling {TASK_WAY} of those classes from {TASK_SHOT} examples each, on the device's side")
        task = enroll_and_classify(classifier, test)
    timing = benchmark([bundle], sweep=False)

    note("5/5  Drawing the report")
    seconds = round(time.monotonic() - started, 1)
    result: dict[str, Any] = {
        "dataset": dataset,
        "accuracy": {kind: {case: cell.mean for case, cell in cells.items()} for kind, cells in accuracy.items()},
        "ci95": {kind: {case: cell.ci95 for case, cell in cells.items()} for kind, cells in accuracy.items()},
        "protocol": f"test classes, {JUDGED_QUERIES} queries, {JUDGED_EPISODES} episodes, prototypes, frozen batch norm",
        "task": task.summary(),
        "benchmark": timing,
        "seconds": seconds,
    }
    history = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    page = demo_page.render(result, test, task, history, by_shots)
    files.write_text(folder / "report.html", page)
    files.write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    emit(result, as_json, _account(result, folder))


def _judge(embeddings: NDArray[np.float32], data: Dataset, way: int, shot: int) -> Interval:
    sampler = EpisodeSampler(data, min(way, len(data.class_names)), shot, JUDGED_QUERIES, seed=0)
    return Interval.of(accuracies(embeddings, sampler, JUDGED_EPISODES))


def _clear_run(path: Path) -> None:
    """Remove the run of an earlier demo, and nothing that is not one."""
    if (path / "run.json").exists():
        shutil.rmtree(path)


def _detail(text: str) -> None:
    note(f"     {text}")


def _account(result: dict[str, Any], folder: Path) -> list[str]:
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
        f"Took {duration(result['seconds'])}. Report: {folder / 'report.html'}",
        f"Try it: edge-meta enroll {folder / result['dataset']}.bundle LABEL FILE...",
    ]
