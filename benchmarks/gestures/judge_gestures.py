"""Judge a bundle of gestures on digits that `gestures` was not trained on, as new people draw them in the air.

    python benchmarks/gestures/judge_gestures.py gestures [BUNDLE...]

Five digits are drawn 15 times in each of 60 sessions; 5-way episodes are of one session. It prints accuracies with 95 %
intervals over sessions, of one person, of many people, with the queries turned by 30°, and of accelerations alone. Beside
them stands the nearest mean of the motions themselves. Last are the strokes, given as positions in place of accelerations,
as they were drawn in time, and at one speed; their intervals are over draws of the same strokes. Motions are made by
`motions.py` and `edge_meta/datasets/motions`, none was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import click
import numpy as np
from motions import strokes
from numpy.typing import NDArray
from sessions import HELD_BACK, held_back, session

from edge_meta.datasets import cache
from edge_meta.datasets.motions.paths import STEPS
from edge_meta.datasets.motions.sensors import CHANNELS, rotated
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs.series import fit_series
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.types import Array

SESSIONS, EACH, EPISODES, SHOTS = 60, 15, 20, (1, 5)
Embed = Callable[[Array], Array]


class Case(NamedTuple):
    """A kind of session: whether of many people, radians by which queries are turned, and sensor axes that are there."""

    name: str
    several: bool = False
    turn: float = 0.0
    axes: int = 6


CASES = (
    Case("one person"),
    Case("queries turned by 30 degrees", turn=np.pi / 6),
    Case("accelerations alone", axes=3),
    Case("many people", several=True),
)


def rows(embed: Embed) -> Iterator[dict[str, Any]]:
    """The rows of one encoder, a function from motions (n, 128, 6) to embeddings (n, D)."""
    for case in CASES:
        found: dict[int, list[float]] = {shot: [] for shot in SHOTS}
        for number in range(SESSIONS):
            generator = np.random.default_rng((7, number))
            paths, labels = held_back(EACH, generator)
            motions = session(paths, generator, several=case.several)
            motions[..., case.axes :] = 0
            axis = generator.normal(size=3)
            turned = rotated(motions, case.turn * axis / np.linalg.norm(axis)).astype(np.float32) if case.turn else motions
            shots, queries = embed(motions), embed(turned)
            for shot in SHOTS:
                found[shot].append(_accuracy(shots, queries, labels, shot, generator))
        for shot in SHOTS:
            yield _row(case.name, shot, found[shot])
    for name, positions, labels in _strokes():
        embeddings = embed(positions)
        for shot in SHOTS:
            generator = np.random.default_rng(0)
            yield _row(name, shot, [
                _accuracy(embeddings, embeddings, labels, shot, generator) for _ in range(SESSIONS)
            ])  # fmt: skip


def _row(name: str, shot: int, accuracies: list[float]) -> dict[str, Any]:
    interval = Interval.of(np.array(accuracies))
    return {"motions": name, "way": len(HELD_BACK), "shot": shot, "accuracy": interval.mean, "ci95": interval.ci95}


def _accuracy(shots: Array, queries: Array, labels: NDArray[np.int32], shot: int, generator: np.random.Generator) -> float:
    """The mean accuracy of EPISODES draws; a query is no shot of the same draw."""
    found = []
    for _ in range(EPISODES):
        drawn = np.stack([generator.permutation(np.flatnonzero(labels == label)) for label in range(labels.max() + 1)])
        prototypes = shots[drawn[:, :shot]].mean(axis=1)
        asked = queries[drawn[:, shot : shot + EACH - max(SHOTS)]]
        nearest = ((asked[:, :, None] - prototypes) ** 2).sum(axis=-1).argmin(axis=-1)
        found.append(float((nearest == np.arange(len(drawn))[:, None]).mean()))
    return float(np.mean(found))


def _strokes() -> Iterator[tuple[str, Array, NDArray[np.int32]]]:
    """The strokes of the held-back digits as positions, in time and at one speed: a name, (n, 128, 6), and the digits."""
    archive = np.load(cache.folder() / "imu_gestures" / "wand.npz")
    kept = np.isin(archive["y"], HELD_BACK)
    drawn = [stroke[:length] for stroke, length in zip(archive["x"][kept], archive["length"][kept], strict=True)]
    yield "strokes as positions", _series(drawn), np.searchsorted(HELD_BACK, archive["y"][kept]).astype(np.int32)
    even = [strokes()[digit] for digit in HELD_BACK]
    labels = np.repeat(np.arange(len(even), dtype=np.int32), [len(paths) for paths in even])
    yield "strokes at one speed", _series(np.concatenate(even)), labels


def _series(paths: Iterable[NDArray[Any]]) -> Array:
    """Paths, each (steps, 2), as the encoder's first two channels, (n, 128, 6)."""
    return np.stack([fit_series(path, STEPS, CHANNELS, "A stroke") for path in paths])


def as_they_are(motions: Array) -> Array:
    """Motions without their mean, of unit length."""
    flat = (motions - motions.mean(axis=1, keepdims=True)).reshape(len(motions), -1)
    unit: Array = flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)
    return unit


@click.command()
@click.argument("bundles", nargs=-1, metavar="BUNDLE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each row.")
def main(bundles: tuple[str, ...], as_json: bool) -> None:
    """Judge each BUNDLE, beside the motions themselves."""
    given: list[tuple[str, Embed]] = [("the motions themselves", as_they_are)]
    for path in bundles:
        bundle = Bundle.open(path)
        encoder = open_encoder(bundle, RuntimeOptions())
        given.append(
            (f"{bundle.name}, {len(bundle.model):,} bytes", partial(embed_all, encoder, bundle.manifest.input_spec))
        )
    for name, each in given:
        if not as_json:
            print(name)
        for row in rows(each):
            text = f"  {row['motions']:29} 5-way {row['shot']}-shot  {100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %"
            print(json.dumps({"encoder": name} | row) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
