"""Training on a GPU: what it gains, whether it learns the same, and the papers' rows at the papers' own budgets.

    python benchmarks/gpu.py measure [--device GPU:0] [--row NAME]... [--seconds 10] [--tasks N] [--output FILE]
    python benchmarks/gpu.py paper maml-20w1s --output RUN [--resume] [--share 1.0] [--judge 1000]

**Never run on a GPU.** Tested on a CPU, at a tiny budget.

`measure` takes the steps of each row in float32, in bfloat16 (mixed precision), in float32 by XLA, and on the CPU: tasks a
second, the most memory that TensorFlow held on the device, how far the losses of the first steps in float32 are from the
CPU's with the same seeds, and from these rates the hours of the row's budget.

`paper` trains a row at its paper's budget, with 25 checkpoints, and judges it on test episodes as the paper does. The
first steps tell how long it will take. MAML (Finn et al. 2017, supplement A.1): 60,000 steps of 32 tasks with 1 inner
step of rate 0.4 at 5-way, judged with 3; of 16 tasks with 5 of rate 0.1 at 20-way; as many queries as shots; Adam at
0.001; transductive batch norm. Its authors' code, cbfinn/maml, has the same but for 40,000 steps. Prototypical networks
(Snell et al. 2017, and jakesnell/prototypical-networks): 60-way episodes with 5 queries, Adam from 0.001, halved every
2,000 episodes; the paper trains until validation stalls, this for 20,000. Unlike the papers, training takes the 25
background alphabets that are no validation, with rotations as classes, and Conv4 has pooling where MAML's has strides.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import MAML, Method, ProtoNet, conv4
from edge_meta.training.encoder_copies import BFLOAT16, in_precision
from edge_meta.training.run import RunFolder
from edge_meta.training.step import train_step

CPU = "CPU:0"
VARIANTS = ("float32", "bfloat16", "xla")
COMPARED_STEPS = 5


@dataclass(frozen=True)
class Row:
    """A row of a paper's table, at the paper's budget.

    Attributes:
        query: of each class in training; episodes to judge on have 15.
        tasks: in a step.
        inner_steps, judged_steps, inner_rate: of MAML's inner loop; None for prototypical networks.
        judged_way: of the test episodes.
        halved: steps after which the outer rate is halved, again and again; 0 for never.
        paper: its accuracy on Omniglot, in %.
    """

    way: int
    shot: int
    query: int
    tasks: int
    steps: int
    judged_way: int
    paper: float
    inner_steps: int | None = None
    judged_steps: int = 0
    inner_rate: float = 0.0
    halved: int = 0

    def method(self, precision: str = "float32", inner_steps: int | None = None) -> Method:
        """A new method, compiled; with other inner steps to judge it."""
        encoder = conv4()
        if precision == "bfloat16":
            encoder = in_precision(encoder, BFLOAT16)
        method: Method = ProtoNet(encoder)
        if self.inner_steps is not None:
            steps = inner_steps or self.inner_steps
            method = MAML(encoder, way=self.way, steps=steps, learning_rate=self.inner_rate, transductive=True)
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, self.halved, 0.5, staircase=True) if self.halved else 1e-3
        method.compile(keras.optimizers.Adam(rate))
        return method


def _maml(way: int, shot: int, paper: float) -> Row:
    if way == 5:
        return Row(way, shot, shot, 32, 60_000, way, paper, inner_steps=1, judged_steps=3, inner_rate=0.4)
    return Row(way, shot, shot, 16, 60_000, way, paper, inner_steps=5, judged_steps=5, inner_rate=0.1)


def _protonet(judged_way: int, shot: int, paper: float) -> Row:
    return Row(60, shot, 5, 1, 20_000, judged_way, paper, halved=2000)


ROWS = {
    "maml-5w1s": _maml(5, 1, 98.7),
    "maml-5w5s": _maml(5, 5, 99.9),
    "maml-20w1s": _maml(20, 1, 95.8),
    "maml-20w5s": _maml(20, 5, 98.9),
    "protonet-5w1s": _protonet(5, 1, 98.8),
    "protonet-5w5s": _protonet(5, 5, 99.7),
    "protonet-20w1s": _protonet(20, 1, 96.0),
    "protonet-20w5s": _protonet(20, 5, 98.9),
}


class Steps:
    """Steps of a row on a device, traced once.

    Attributes:
        losses: of the steps so far.
    """

    def __init__(self, row: Row, variant: str, device: str, data: Dataset) -> None:
        keras.utils.set_random_seed(0)
        self._row, self._sampler = row, EpisodeSampler(data, row.way, row.shot, row.query, 0)
        self.losses: list[float] = []
        with tf.distribute.OneDeviceStrategy(f"/{device}").scope():
            method = row.method(variant)
            assert method.optimizer is not None
            method.optimizer.build(method.trainable_variables)
        self._step = train_step(method, self._sampler, augment=False, xla=variant == "xla")

    def take(self) -> None:
        """Take a step."""
        first = len(self.losses) * self._row.tasks
        episodes = [self._sampler.episode(first + task) for task in range(self._row.tasks)]
        self.losses.append(self._step(episodes, first)[0])

    def rate(self, seconds: float) -> float:
        """Take steps for so many seconds; returns tasks a second."""
        began, before = time.perf_counter(), len(self.losses)
        while time.perf_counter() - began < seconds or len(self.losses) == before:
            self.take()
        return (len(self.losses) - before) * self._row.tasks / (time.perf_counter() - began)


def measured(row: Row, variant: str, device: str, data: Dataset, seconds: float) -> tuple[dict[str, Any], list[float]]:
    """Measure a row on a device; returns the figures, and the losses of the first steps."""
    on_gpu = "GPU" in device
    if on_gpu:
        tf.config.experimental.reset_memory_stats(device)
    began = time.perf_counter()
    steps = Steps(row, variant, device, data)
    steps.take()
    first = time.perf_counter() - began
    while len(steps.losses) < COMPARED_STEPS:
        steps.take()
    rate = steps.rate(seconds)
    figures = {
        "device": device,
        "variant": variant,
        "tasks_per_s": round(rate, 2),
        "first_step_s": round(first, 1),  # TensorFlow compiles in it
        "memory_mb": round(tf.config.experimental.get_memory_info(device)["peak"] / 1e6) if on_gpu else None,
        "hours_of_budget": round(row.steps * row.tasks / rate / 3600, 2),
    }
    return figures, steps.losses[:COMPARED_STEPS]


def compared(row: Row, device: str, data: Dataset, seconds: float) -> list[dict[str, Any]]:
    """Measure all variants of a row on a device, after float32 on the CPU, whose losses the others are compared with."""
    figures, expected = measured(row, "float32", CPU, data, seconds)
    results = [figures]
    for variant in VARIANTS:
        figures, losses = measured(row, variant, device, data, seconds)
        apart = max(abs(loss - other) / abs(other) for loss, other in zip(losses, expected, strict=True))
        results.append(figures | {"loss_difference": float(f"{apart:.3g}")})
    return results


def host(device: str) -> dict[str, Any]:
    """Describe what was measured on."""
    facts: dict[str, Any] = {"platform": platform.platform(), "cores": os.cpu_count(), "tensorflow": tf.__version__}
    if "GPU" in device:
        number = int(device.rpartition(":")[2])
        facts["gpu"] = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[number])
    return facts


def has(device: str) -> bool:
    """Whether TensorFlow sees a device."""
    return any(found.name.endswith(device) for found in tf.config.list_logical_devices())


def random_data() -> Dataset:
    """Images of noise: 100 classes of 20, 28×28×1."""
    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28, 1), np.uint8)
    labels = np.repeat(np.arange(100, dtype=np.int32), 20)
    return Dataset("random", "train", images, labels, tuple(map(str, range(100))), ("",) * 100)


@click.group()
def main() -> None:
    """Measure training on a GPU, or train a paper's row at its budget."""


@main.command()
@click.option("--device", default="GPU:0", show_default=True, help="As TensorFlow names it.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(ROWS)), help="May be repeated.  [default: all]")
@click.option("--seconds", default=10.0, show_default=True, help="For each variant of a row.")
@click.option("--tasks", type=int, help="In a step.  [default: the paper's]")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures there as JSON.")
def measure(device: str, rows: tuple[str, ...], seconds: float, tasks: int | None, output: Path | None) -> None:
    """Measure each row's steps on a device and on the CPU."""
    if not has(device):
        raise click.UsageError(f"TensorFlow sees no {device} here.")
    data, results = random_data(), {}
    click.echo("| row | device | variant | tasks/s | memory, MB | hours of its budget | losses, from the CPU's |")
    click.echo("| --- | --- | --- | --- | --- | --- | --- |")
    for name in rows or ROWS:
        row = ROWS[name] if tasks is None else with_tasks(ROWS[name], tasks)
        results[name] = compared(row, device, data, seconds)
        for found in results[name]:
            cells = (found["device"], found["variant"], found["tasks_per_s"], found["memory_mb"] or "–")
            last = (found["hours_of_budget"], found.get("loss_difference", "–"))
            click.echo(f"| {name} | {' | '.join(map(str, (*cells, *last)))} |")
    if output is not None:
        output.write_text(json.dumps({"host": host(device), "rows": results}, indent=1, default=str) + "\n")


@main.command()
@click.argument("name", type=click.Choice(list(ROWS)))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--share", default=1.0, show_default=True, help="Of the paper's steps.")
@click.option("--tasks", type=int, help="In a step, and more steps or fewer for as many in all.  [default: the paper's]")
@click.option("--judge", default=1000, show_default=True, help="Test episodes; a fifth as many validate at a checkpoint.")
@click.option("--dataset", default="omniglot", show_default=True)
def paper(name: str, output: Path, resume: bool, share: float, tasks: int | None, judge: int, dataset: str) -> None:
    """Train a row at its paper's budget, and judge it as the paper does."""
    row = ROWS[name] if tasks is None else with_tasks(ROWS[name], tasks)
    row = replace(row, steps=max(1, math.ceil(row.steps * share)))
    training, validation, test = (load_dataset(dataset, split) for split in ("train", "val", "test"))
    asked = {"row": name, "dataset": dataset, **asdict(row)}
    run = RunFolder(output)
    if not resume:
        RunFolder.create(output, asked, {})
    elif json.loads((output / "run.json").read_text())["asked"] != asked:
        raise click.UsageError(f"{output} was started with other options.")
    keras.utils.set_random_seed(0)
    method = row.method()
    sampler = EpisodeSampler(training.with_rotations(), row.way, row.shot, row.query, 0)
    method.fit(
        sampler, row.steps * row.tasks, judged_on(row, validation, 1), run, told(row), tasks=row.tasks,
        validation_episodes=max(2, judge // 5),
    )  # fmt: skip
    found = judged(row, method).evaluate(judged_on(row, test, 2), judge)
    click.echo(f"{name}: {found}, the paper {row.paper}")


def with_tasks(row: Row, tasks: int) -> Row:
    """The row with other tasks in a step, and as many in all."""
    return replace(row, tasks=tasks, steps=max(1, row.steps * row.tasks // tasks))


def judged_on(row: Row, data: Dataset, seed: int) -> EpisodeSampler:
    """The episodes that a row is judged on, of a split."""
    way = min(row.judged_way, len(data.class_names))
    return EpisodeSampler(data, way, row.shot, min(15, len(data.examples) // len(data.class_names) - row.shot), seed)


def judged(row: Row, method: Method) -> Method:
    """The method as its paper judges it: MAML with more inner steps than it was trained with."""
    if not isinstance(method, MAML):
        return method
    other = row.method(inner_steps=row.judged_steps)
    assert isinstance(other, MAML)
    other.encoder.set_weights(method.encoder.get_weights())
    for variable, value in zip(other.head, method.head, strict=True):
        variable.assign(value)
    return other


def told(row: Row) -> Callable[[Any], None]:
    """Tell the expected hours, once, from the steps after the first."""
    times: list[float] = []

    def tell(progress: Any) -> None:
        times.append(time.perf_counter())
        if len(times) == COMPARED_STEPS:
            each = (times[-1] - times[0]) / (len(times) - 1)
            click.echo(f"about {each * row.steps / 3600:.2f} hours for {row.steps:,} steps of {row.tasks} tasks", err=True)

    return tell


if __name__ == "__main__":
    main()
