"""Measure training throughput against the peers' on the same machine, in turn.

    python benchmarks/training.py --peers VENV [--json] [--rounds 3] [--seconds 5]

Print ours, the peer's and their ratio for each row. VENV holds PyTorch and learn2learn, and bench_training.py, which prints
their rates: it measures all rows in one process, and so a round runs it once, and then ours, row by row. Both sides train a
Conv4-64 on random 28×28×1 images in float32 on all cores, with batch norm in training mode on support and query:
prototypical networks on 60-way episodes of 5 images (images/s), MAML, first-order MAML and ANIL on batches of four 5-way
1-shot tasks with 15 queries and 5 inner steps (tasks/s). Of ANIL's four tasks, learn2learn normalizes each by itself, and
ours all of them as one batch. `protonet_fast` is resnet7 against the peers' Conv4. Figures are medians over rounds, ratios
are to the best peer, and `range` is the least and the most ratio of a round. Ours include drawing the episodes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import ANIL, MAML, Method, ProtoNet, conv4
from edge_meta.training.encoders import resnet7
from edge_meta.training.step import train_step

PEERS = {
    "protonet": ("protonet_60way_5img_images_per_s", "protonet_60way_5img_channels_last_images_per_s"),
    "protonet_fast": ("protonet_60way_5img_images_per_s", "protonet_60way_5img_channels_last_images_per_s"),
    "maml": ("maml_5w1s_5inner_second_order_tasks_per_s",),
    "fomaml": ("maml_5w1s_5inner_first_order_tasks_per_s",),
    "anil": ("anil_5w1s_5inner_tasks_per_s",),
}
TASKS = 4


def ours() -> dict[str, tuple[Method, int, int, int, int]]:
    """Return row → (method, way, shot, query, tasks in a step)."""
    adapting = (5, 1, 15, TASKS)
    return {
        "protonet": (ProtoNet(conv4()), 60, 1, 4, 1),
        "protonet_fast": (ProtoNet(resnet7()), 60, 1, 4, 1),
        "maml": (MAML(conv4(), transductive=True), *adapting),
        "fomaml": (MAML(conv4(), transductive=True, first_order=True), *adapting),
        "anil": (ANIL(conv4()), *adapting),
    }


class Rate:
    """Steps of one row, traced once and then timed in slices."""

    def __init__(self, method: Method, way: int, shot: int, query: int, tasks: int, data: Dataset) -> None:
        method.compile()
        assert method.optimizer is not None
        method.optimizer.build(method.trainable_variables)
        self._sampler = EpisodeSampler(data, way, shot, query)
        self._step, self._tasks, self._episode = train_step(method, self._sampler, augment=False), tasks, 0
        self.units = tasks if tasks > 1 else way * (shot + query)
        self._run()

    def measure(self, seconds: float) -> float:
        """Run steps for so many seconds, and return units (images or tasks) a second."""
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            self._run()
            count += self.units
        return count / (time.perf_counter() - start)

    def _run(self) -> None:
        self._step([self._sampler.episode(self._episode + task) for task in range(self._tasks)], self._episode)
        self._episode += self._tasks


def random_data() -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28, 1), np.uint8)
    labels = np.repeat(np.arange(100, dtype=np.int32), 20)
    return Dataset("random", "train", images, labels, tuple(map(str, range(100))), ("",) * 100)


@click.command()
@click.option("--peers", required=True, type=click.Path(exists=True, path_type=Path), help="The peers' venv.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="For each row in a round.")
@click.option("--json", "as_json", is_flag=True)
def main(peers: Path, rounds: int, seconds: float, as_json: bool) -> None:
    """Measure our rates and the peers' in turn, and print the ratios."""
    data = random_data()
    rates = {row: Rate(*settings, data) for row, settings in ours().items()}
    our_figures: dict[str, list[float]] = {row: [] for row in rates}
    peer_figures: dict[str, list[float]] = {row: [] for row in rates}
    command = [str(peers / "bin" / "python"), str(peers / "bench_training.py"), str(seconds)]
    for turn in range(rounds):
        click.echo(f"round {turn + 1} of {rounds}", err=True)
        printed = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        for row, rate in rates.items():
            peer_figures[row].append(max(printed[key] for key in PEERS[row]))
            our_figures[row].append(rate.measure(seconds))
    result = {}
    for row in rates:
        our, peer = statistics.median(our_figures[row]), statistics.median(peer_figures[row])
        unit = "images/s" if row.startswith("protonet") else "tasks/s"
        each = [mine / theirs for mine, theirs in zip(our_figures[row], peer_figures[row], strict=True)]
        result[row] = {
            "ours": round(our, 1),
            "peer": round(peer, 1),
            "unit": unit,
            "ratio": round(our / peer, 2),
            "range": [round(min(each), 2), round(max(each), 2)],
        }
    if as_json:
        click.echo(json.dumps(result))
    else:
        for row, cell in result.items():
            click.echo(f"{row:<15}{cell['ours']:>10,} {cell['peer']:>10,} {cell['unit']:<10}{cell['ratio']:>6.2f}")


if __name__ == "__main__":
    main()
