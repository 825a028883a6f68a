"""edge-meta demo: the whole job, from nothing to a bundle that has learned classes it never saw."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta import files
from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import TrainingProgress, duration, note
from edge_meta.datasets import Dataset, load_dataset
from edge_meta.episodes import EpisodeSampler
from edge_meta.evaluation import Interval, accuracies
from edge_meta.runtime.benchmark import benchmark
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.evaluate import embed_all

# A few minutes on two cores. A run for use takes ten times as long: edge-meta train.
EPISODES = 320
WAY, SHOT, QUERY = 60, 1, 2

CASES = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
SHOTS = (1, 2, 3, 5, 10)
JUDGED_EPISODES = 600
JUDGED_QUERIES = 10

TASK_WAY, TASK_SHOT, TASK_QUERY = 20, 5, 10


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
    from edge_meta.cli import report
    from edge_meta.training.method import embed
    from edge_meta.training.recipe import Recipe, train

    started = time.monotonic()
    folder = Path(output)
    _clear_run(folder / "run")

    note(f"1/5  Meta-learning an encoder on {dataset}: {EPISODES} episodes of {WAY} classes, {SHOT} example each")
    recipe = Recipe(dataset=dataset, way=WAY, shot=SHOT, query=QUERY, episodes=EPISODES)
    run = train(recipe, folder / "run", on_progress=TrainingProgress())

    note("2/5  Exporting it to int8 for devices")
    bundle = export_bundle(run.path, folder / f"{dataset}.bundle", "int8", overwrite=True, on_note=_detail)

    note("3/5  Judging float32 and int8 on classes that neither has seen")
    test = load_dataset(dataset, "test", bundle.manifest.image_input)
    store = folder / "demo.db"
    for journal in ("", "-wal", "-shm"):
        Path(f"{store}{journal}").unlink(missing_ok=True)
    with Classifier.load(bundle, store) as classifier:
        embeddings = {
            "float32": embed(run.load_encoder(), bundle.manifest.image_input, test.images),
            "int8": embed_all(classifier.encoder, bundle.manifest.image_input, test.images),
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
    page = report.render(result, test, task, history, by_shots)
    files.write_text(folder / "report.html", page)
    files.write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    emit(result, as_json, _account(result, folder))


@dataclass(frozen=True)
class Task:
    """A 20-way task as a device meets it.

    Attributes:
        examples: (way, shot + query) indices into the test split; the first `TASK_SHOT` of each were enrolled.
        answers: (way, query) the nearest label of each query, as an index of the task's classes.
        closed_set, adapted: accuracy of the first label before and after adapting the last layer.
        rejected_known, rejected_strangers: fractions of queries, and of images of classes not enrolled, called unknown.
    """

    examples: NDArray[np.int64]
    answers: NDArray[np.int64]
    closed_set: float
    adapted: float
    rejected_known: float
    rejected_strangers: float
    loss_before: float
    loss_after: float

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(way, way): how many queries of a row's class had a column's label nearest."""
        way = len(self.answers)
        return np.stack([np.bincount(row, minlength=way) for row in self.answers])

    def summary(self) -> dict[str, Any]:
        fields = {key: value for key, value in vars(self).items() if isinstance(value, float)}
        return {"way": len(self.answers), "shot": TASK_SHOT, "query": TASK_QUERY, **fields}


def enroll_and_classify(classifier: Classifier, data: Dataset) -> Task:
    """Enroll 20 classes, classify their other examples and those of strangers, adapt, classify again."""
    way = min(TASK_WAY, len(data.class_names) // 2)
    episode = EpisodeSampler(data, way, TASK_SHOT, TASK_QUERY, seed=3).episode(0)
    labels = [data.class_names[index] for index in episode.classes]
    for label, support in zip(labels, episode.support, strict=True):
        classifier.enroll(label, data.images[support])

    def classify_queries() -> tuple[NDArray[np.int64], float]:
        results = [[classifier.classify(data.images[query]) for query in queries] for queries in episode.query]
        answers = np.array([[labels.index(str(result.top[0].label)) for result in row] for row in results])
        return answers, float(np.mean([[not result.known for result in row] for row in results]))

    truth = np.arange(way)[:, None]
    answers, rejected_known = classify_queries()
    foreign = np.flatnonzero(~np.isin(data.labels, episode.classes))
    strangers = np.random.default_rng(3).choice(foreign, episode.query.size)
    rejected = [not classifier.classify(data.images[stranger]).known for stranger in strangers]
    adapted = classifier.adapt()
    after, _ = classify_queries()
    return Task(
        examples=np.concatenate([episode.support, episode.query], axis=1),
        answers=answers,
        closed_set=float(np.mean(answers == truth)),
        adapted=float(np.mean(after == truth)),
        rejected_known=rejected_known,
        rejected_strangers=float(np.mean(rejected)),
        loss_before=adapted.loss_before,
        loss_after=adapted.loss_after,
    )


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
