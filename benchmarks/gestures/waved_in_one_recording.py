"""Cut streams of gestures at the moments of stillness: how many are found, and the accuracy against gestures one by one.

    python benchmarks/gestures/waved_in_one_recording.py

Each session has five computed shapes of ten (`edge_meta.datasets.motions`), and ten people who hold the phone about alike.
Five of them make the shots, the other five are asked. A hand rests for 0.8 s before and after each gesture, and moves
back to where the next one begins in 1.5 s, which is a motion, too. A gesture is found if one motion covers most of it and it
is most of that motion.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from edge_meta import Classifier
from edge_meta.datasets.motions import SHAPES, Motion, motion
from edge_meta.evaluation.interval import Share
from edge_meta.inputs import motions
from edge_meta.types import Array64

SHOTS, WAY = 5, 5
REST, BACK = 0.8, 1.5  # seconds
NOISE = np.repeat([0.12, 0.03], 3)  # m/s² and rad/s


def stream(made: Sequence[Motion], rate: float, generator: np.random.Generator) -> tuple[Array64, list[tuple[float, float]]]:
    """One series of several motions, (n, 6), and the seconds at which each begins and ends."""
    parts: list[Array64] = []
    spans, at = [], 0.0
    for one, following in zip(made, [*made[1:], made[0]], strict=True):
        start, next_start = one.readings[0], following.readings[0]
        turned = (1 - np.cos(np.linspace(0, np.pi, round(BACK * rate)))[:, None]) / 2
        steps = np.linspace(0, len(one.readings) - 1, round(one.seconds * rate))
        drawn = np.stack([np.interp(steps, np.arange(len(one.readings)), column) for column in one.readings.T], axis=1)
        rests = [np.repeat(row[None], round(REST * rate), axis=0) for row in (start, one.readings[-1])]
        rests.append(one.readings[-1] + turned * (next_start - one.readings[-1]))
        rests = [rest + generator.normal(0, 1, rest.shape) * NOISE for rest in rests]
        spans.append((at + len(rests[0]) / rate, at + (len(rests[0]) + len(drawn)) / rate))
        parts += [rests[0], drawn, *rests[1:]]
        at += sum(map(len, (*rests, drawn))) / rate
    return np.concatenate(parts), spans


def found_at(cut: Sequence[motions.Motion], start: float, end: float) -> Array64 | None:
    """The values of the one motion that is most of this span, and the span of it."""
    for each in cut:
        both = min(each.end, end) - max(each.start, start)
        if both > 0.5 * (end - start) and both > 0.5 * (each.end - each.start):
            return each.values
    return None


@click.command()
@click.option("--bundle", default="gestures", show_default=True)
@click.option("--sessions", default=40, show_default=True)
@click.option("--rate", default=100.0, show_default=True, help="Hz.")
def main(bundle: str, sessions: int, rate: float) -> None:
    """Print how many gestures are found, and the accuracies."""
    generator = np.random.default_rng(0)
    found, given, right, all_right = 0, 0, {"cut": 0, "one by one": 0}, 0
    with tempfile.TemporaryDirectory() as scratch, Classifier.load(bundle, Path(scratch) / "store.db") as classifier:
        for session in range(sessions):
            shapes = generator.choice(sorted(SHAPES), WAY, replace=False).tolist()
            made = [motion(shape, person, session) for person in range(2 * SHOTS) for shape in shapes]
            values, spans = stream(made, rate, generator)
            cutter = motions.MotionCutter()
            cut = [*cutter.feed(np.arange(len(values)) / rate, values), *cutter.end()]
            pieces = [found_at(cut, *span) for span in spans]
            found, given = found + sum(piece is not None for piece in pieces), given + len(pieces)
            for kind, examples in (("cut", pieces), ("one by one", [one.readings for one in made])):
                embedded = [None if example is None else classifier.embed(example) for example in examples]
                shots = [[each for each in embedded[label : SHOTS * WAY : WAY] if each is not None] for label in range(WAY)]
                prototypes = np.stack([np.mean(each, axis=0) for each in shots])
                for label, asked in enumerate(embedded[SHOTS * WAY :]):
                    if asked is not None:
                        right[kind] += int(((prototypes - asked) ** 2).sum(axis=1).argmin() == label % WAY)
            all_right += SHOTS * WAY
    print(f"Gestures found: {Share(found, given)}")
    for kind, count in right.items():
        print(f"{WAY}-way accuracy, {SHOTS} shots, {kind}: {Share(count, all_right)}")


if __name__ == "__main__":
    main()
