"""Train the `gestures` encoder on motions that `motions.py` makes: five digits and random curves.

    python benchmarks/gestures/train_gestures.py --output run

Each step is an episode of a prototypical network (Snell et al. 2017): 20 paths, 2 shots and 4 queries of each. In half of
them one person draws all, in half everybody draws once. Digits that `HELD_BACK` names are for judging.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from motions import CHANNELS, STEPS, Person, Points, bent, digits, random_curve, through
from numpy.typing import NDArray

from edge_meta.training.motion import MotionFeatures, tcn
from edge_meta.types import Array

HELD_BACK = (1, 3, 5, 8, 9)  # by no look at the figures: every other one, and 8, of as many loops as 6
WAY, SHOT, QUERY, OF_DIGITS = 20, 2, 4, 4
SHARPNESS = 12.0
EVERY = 250


def drawn_paths(paths: list[Points], count: int, generator: np.random.Generator) -> list[Points]:
    """Paths of one gesture by several hands."""
    return [bent(paths[generator.integers(len(paths))], generator) for _ in range(count)]


def episode(strokes: dict[int, list[Points]], generator: np.random.Generator) -> Array:
    """Motions (WAY · (SHOT + QUERY), STEPS, 6); those of one gesture lie together."""
    each = SHOT + QUERY
    gestures = [drawn_paths(strokes[digit], each, generator) for digit in generator.choice(list(strokes), OF_DIGITS, False)]
    while len(gestures) < WAY:
        points, sharp = random_curve(generator), generator.random() < 0.4
        gestures.append([bent(through(points, sharp, generator), generator) for _ in range(each)])
    alone = generator.random() < 0.5
    person, turned = Person.draw(generator), generator.uniform(0.05, 0.35)
    if not alone:  # everybody holds it alike, more or less, since all were told how
        return _by_many(gestures, person, turned, generator)
    return np.stack([person.moves(path, generator, turned) for gesture in gestures for path in gesture])


def _by_many(gestures: list[list[Points]], like: Person, turned: float, generator: np.random.Generator) -> Array:
    people = []
    for _ in range(SHOT + QUERY):
        other = Person.draw(generator)
        other.held, other.turns, other.feels_gravity = like.held, like.turns, like.feels_gravity
        people.append(other)
    return np.stack([person.moves(path, generator, turned) for gesture in gestures
                     for person, path in zip(people, gesture, strict=True)])  # fmt: skip


def augmented(motions: Array, generator: np.random.Generator) -> Array:
    """Some without turn rates, some without accelerations, some in other units."""
    motions = motions * np.exp(generator.uniform(-0.3, 0.3))
    kind = generator.random()
    if kind < 0.15:
        motions[:, :, 3:] = 0
    elif kind < 0.2:
        motions[:, :, :3] = 0
    elif kind < 0.3:
        motions[:, :, :3] /= 9.81
    return motions


def loss_of(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy over squared distances to prototypes, and accuracy."""
    grouped = tf.reshape(embeddings, (WAY, SHOT + QUERY, -1))
    prototypes = tf.reduce_mean(grouped[:, :SHOT], axis=1)
    queries = tf.reshape(grouped[:, SHOT:], (WAY * QUERY, -1))
    distances = tf.reduce_sum((queries[:, None] - prototypes[None]) ** 2, axis=-1)
    labels = tf.repeat(tf.range(WAY), QUERY)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, -SHARPNESS * distances)
    right = tf.argmin(distances, axis=-1, output_type=tf.int32) == labels
    return tf.reduce_mean(loss), tf.reduce_mean(tf.cast(right, tf.float32))


def motions_of(
    strokes: dict[int, list[Points]], people: int, each: int, turned: float, seed: int
) -> tuple[Array, NDArray[np.int32]]:
    """Motions of digits by several people, (people, digits · each, STEPS, 6), and their digits."""
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(people):
        person = Person.draw(generator)
        drawn.append(np.stack([person.moves(path, generator, turned) for digit in strokes
                               for path in drawn_paths(strokes[digit], each, generator)]))  # fmt: skip
    return np.stack(drawn), np.repeat(np.arange(len(strokes), dtype=np.int32), each)


def accuracy_of(embeddings: Array, labels: NDArray[np.int32], shot: int, generator: np.random.Generator) -> float:
    """One episode of one person's motions: nearest prototype among all digits."""
    classes = labels.max() + 1
    rows = np.stack([generator.permutation(np.flatnonzero(labels == label)) for label in range(classes)])
    prototypes = embeddings[rows[:, :shot]].mean(axis=1)
    queries, wanted = embeddings[rows[:, shot:].ravel()], np.repeat(np.arange(classes), rows.shape[1] - shot)
    return float((((queries[:, None] - prototypes) ** 2).sum(-1).argmin(-1) == wanted).mean())


@click.command()
@click.option("--output", required=True, metavar="FOLDER")
@click.option("--steps", default=6000, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
def main(output: str, steps: int, learning_rate: float) -> None:
    """Write network.keras and the curve to FOLDER."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    strokes = {digit: paths for digit, paths in digits().items() if digit not in HELD_BACK}
    validation, labels = motions_of(strokes, 12, 12, 0.15, seed=1)
    features, network = MotionFeatures(), tcn()
    features.build((None, STEPS, len(CHANNELS)))
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, steps - 200, warmup_target=learning_rate, warmup_steps=200
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=5.0)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(motions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, accuracy = loss_of(network(features(motions), training=True))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return loss, accuracy

    generator, seen, began = np.random.default_rng(0), [], time.monotonic()
    for number in range(1, steps + 1):
        motions = augmented(episode(strokes, generator), generator)
        seen.append([float(value) for value in step(tf.constant(motions, tf.float32))])
        if number % EVERY == 0 or number == steps:
            loss, accuracy = np.mean(seen, axis=0)
            each = [network(features(motions)).numpy() for motions in validation]
            chosen = np.random.default_rng(0)
            validated = np.mean([accuracy_of(one, labels, 1, chosen) for one in each])
            left = (time.monotonic() - began) / number * (steps - number) / 60
            print(f"step {number:5}/{steps}  loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  "
                  f"validation {100 * validated:.1f} %  {left:.0f} min left", flush=True)  # fmt: skip
            with open(folder / "metrics.jsonl", "a") as log:
                row = {"step": number, "loss": loss, "accuracy": accuracy, "val_accuracy": validated}
                print(json.dumps({name: float(value) for name, value in row.items()}), file=log)
            seen.clear()
            network.save(folder / "network.keras")


if __name__ == "__main__":
    main()
