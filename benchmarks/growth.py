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
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

# NumPy's matrix products share large ones among threads, which wait for each other when anything else runs: what would be
# seen is where that begins.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edge_meta import Classifier, files
from edge_meta.benchmarking import timing
from edge_meta.benchmarking.stages import fill, random_embeddings
from edge_meta.heads import linear
from edge_meta.inputs.resizing import resize
from edge_meta.reports import charts
from edge_meta.runtime.backends import DEFAULT
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.machine import host
from edge_meta.store.store import Store
from edge_meta.types import Array

RUNS, WARMUP, LIMIT = 30, 2, 3.0
DIM, SHOTS = 128, 5


def between(first: int, last: int, count: int = 12) -> tuple[int, ...]:
    """Return whole numbers at equal ratios."""
    return tuple(dict.fromkeys(np.geomspace(first, last, count).round().astype(int).tolist()))


CLASSES = between(10, 10_000)
LABEL_SHOTS = between(4, 4_000)
EACH_SHOTS = between(4, 500)
DIMS = between(16, 2_048)
ADAPTED_CLASSES = between(5, 300)
SIDES = between(40, 1_800)
ENCODED_SIDES = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192)

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Growth:
    """A cost by one variable.

    Attributes:
        prepare: makes the sampler that times it at one of the points, with a workbench's help.
        why: the reason why it grows faster than in proportion, if it does.
    """

    cost: str
    by: str
    points: Sequence[int]
    prepare: Callable[[Workbench, int], timing.Sampler]
    why: str = ""


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


cpu_time = partial(timing.sampler, clock=time.process_time)


class InstantEncoder(Encoder):
    """An encoder of any dimension that takes no time: it has one embedding for all images."""

    def __init__(self, dim: int) -> None:
        self.options, self.dim, self.embedding = DEFAULT, dim, random_embeddings(dim)

    def embed(self, example: Any) -> Array:
        return self.embedding


@dataclass
class Workbench:
    """Makes stores and classifiers of any size in a folder, and closes them."""

    folder: Path
    bundle: Bundle
    opened: ExitStack
    made: dict[tuple[int, ...], Path] = field(default_factory=dict)

    def store(self, dim: int, classes: int, shots: int) -> Path:
        """Return a store's file that nobody else uses."""
        key = (dim, classes, shots)
        if key not in self.made:
            path = self.folder / f"made-{len(self.made)}.db"
            with Store(path, self.bundle.manifest.encoder_id, dim) as store:
                fill(store, random_embeddings(classes, shots, dim))
            self.made[key] = path
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / "store.db"
        return Path(shutil.copy(self.made[key], copy))

    def classifier(self, dim: int, classes: int, shots: int) -> Classifier:
        bundle = replace(self.bundle, manifest=replace(self.bundle.manifest, dim=dim), seed=None)
        classifier = Classifier(bundle, InstantEncoder(dim), bundle.open_store(self.store(dim, classes, shots)))
        return self.opened.enter_context(classifier)

    def score(self, dim: int, classes: int) -> timing.Sampler:
        classifier = self.classifier(dim, classes, 1)
        return cpu_time(partial(classifier.classify_embedding, random_embeddings(dim)))

    def enroll(self, dim: int, classes: int, shots: int) -> timing.Sampler:
        """Time enrolling one more shot of a label; undo it untimed."""
        classifier = self.classifier(dim, classes, shots)
        image = np.zeros((1, *self.bundle.manifest.input_spec.shape), np.uint8)

        def sample(times: int) -> list[float]:
            taken = []
            for _ in range(times):
                taken.append(timing.seconds(partial(classifier.enroll, "class 0", image)))
                classifier.undo()
            return taken

        return sample

    def open(self, classes: int, shots: int) -> timing.Sampler:
        """Time reading all prototypes from the file."""
        path = self.store(DIM, classes, shots)

        def work() -> None:
            with Store(path, self.bundle.manifest.encoder_id, DIM) as store:
                store.snapshot()

        return cpu_time(work)


def adapt_step(dim: int, classes: int, shots: int) -> timing.Sampler:
    vectors = random_embeddings(classes * shots, dim)
    labels = np.repeat(np.arange(classes), shots)
    weights, bias = linear.linear_from_prototypes(vectors[::shots])
    return cpu_time(lambda: linear.linear_step(vectors, labels, weights, bias, 1e-6))


def resized(side: int) -> timing.Sampler:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 1), np.uint8)
    return cpu_time(lambda: resize(image, 28, 28))


def encoded(side: int) -> timing.Sampler:
    """Time a Conv4 of 16 filters with random weights, since its speed does not depend on them."""
    from converters.quantization.convert import convert
    from edge_meta.runtime.interpreter import Encoder
    from edge_meta.training.encoder_copies import for_device
    from edge_meta.training.encoders import conv4

    encoder = Encoder(convert(for_device(conv4((side, side, 1), 16)), "float32", None, 4, 4))
    image = np.random.default_rng(0).random((1, side, side, 1), np.float32)
    return cpu_time(lambda: encoder.embed(image))


MEMORY = (
    "The work is in proportion. Memory is not: beyond some size, what is read and computed no longer fits into the CPU's "
    "caches."
)
EVERY = (
    "Each step sets all shots against all classes. With a number of shots for each class both grow with the classes, so "
    "that it is in proportion to their square; by shots alone it is in proportion."
)
GROWTHS = (
    Growth("score", "classes", CLASSES, lambda bench, n: bench.score(DIM, n), MEMORY),
    Growth("score", "dimensions", DIMS, lambda bench, n: bench.score(n, 1000), MEMORY),
    Growth("enroll", "classes", CLASSES, lambda bench, n: bench.enroll(DIM, n, 1)),
    Growth("enroll", "shots of the label", LABEL_SHOTS, lambda bench, n: bench.enroll(DIM, 2, n)),
    Growth("enroll", "dimensions", DIMS, lambda bench, n: bench.enroll(n, 20, SHOTS)),
    Growth("adapt step", "classes", ADAPTED_CLASSES, lambda bench, n: adapt_step(DIM, n, SHOTS), EVERY),
    Growth("adapt step", "shots of each label", EACH_SHOTS, lambda bench, n: adapt_step(DIM, 20, n), MEMORY),
    Growth("adapt step", "dimensions", DIMS, lambda bench, n: adapt_step(n, 20, SHOTS)),
    Growth("open a store", "classes", CLASSES, lambda bench, n: bench.open(n, 1), MEMORY),
    Growth("open a store", "shots of each label", EACH_SHOTS, lambda bench, n: bench.open(20, n)),
    Growth("resize", "pixels", [side**2 for side in SIDES], lambda bench, n: resized(round(n**0.5)), MEMORY),
    Growth("embed", "pixels", [side**2 for side in ENCODED_SIDES], lambda bench, n: encoded(round(n**0.5)), MEMORY),
)


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
