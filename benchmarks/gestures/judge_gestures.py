"""Judge a bundle of gestures on digits that `gestures` was not trained on, as new people draw them in the air.

    python benchmarks/gestures/judge_gestures.py gestures [BUNDLE...]

Each of 60 people draws five digits 12 times. 5-way episodes are of one person. It prints accuracies with 95 % intervals: as
a person moves alone; with the phone turned by up to 30° each time; of accelerations alone; and, for comparison, of the
nearest mean of the motions themselves. Motions are made by `motions.py`, none was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
from motions import digits
from numpy.typing import NDArray
from train_gestures import HELD_BACK, accuracy_of, motions_of

from edge_meta.evaluation.interval import Interval
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.types import Array

PEOPLE, EACH, EPISODES = 60, 12, 10
USUAL, TURNED = 0.1, 0.3  # radians: the standard deviation of how a phone is held; 30° is 0.52, of three axes 0.3 each


def rows(embed: Any) -> Iterator[dict[str, Any]]:
    """The rows of one encoder, a function from motions (n, 128, 6) to embeddings (n, D)."""
    strokes = {digit: paths for digit, paths in digits().items() if digit in HELD_BACK}
    for name, turned, axes in (("alone", USUAL, 6), ("turned", TURNED, 6), ("accelerations alone", USUAL, 3)):
        motions, labels = motions_of(strokes, PEOPLE, EACH, turned, seed=7)
        motions[..., axes:] = 0
        for shot in (1, 5):
            generator = np.random.default_rng(0)
            accuracies = _accuracies(embed, motions, labels, shot, generator)
            interval = Interval.of(accuracies)
            yield {"motions": name, "way": 5, "shot": shot, "accuracy": interval.mean, "ci95": interval.ci95}


def _accuracies(
    embed: Any, motions: Array, labels: NDArray[np.int32], shot: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """The mean accuracy of each person."""
    found = []
    for one in motions:
        embeddings = embed(one)
        found.append(np.mean([accuracy_of(embeddings, labels, shot, generator) for _ in range(EPISODES)]))
    return np.array(found)


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
    given: list[tuple[str, Any]] = [("the motions themselves", as_they_are)]
    for path in bundles:
        bundle = Bundle.open(path)
        spec, encoder = bundle.manifest.input_spec, open_encoder(bundle, RuntimeOptions())
        given.append((f"{bundle.name}, {len(bundle.model):,} bytes", lambda one, e=encoder, s=spec: embed_all(e, s, one)))
    for name, embed in given:
        if not as_json:
            print(name)
        for row in rows(embed):
            text = f"  {row['motions']:20} 5-way {row['shot']}-shot  {100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %"
            print(json.dumps({"encoder": name} | row) if as_json else text, flush=True)


if __name__ == "__main__":
    main()
