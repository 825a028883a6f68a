"""Train the `gestures` encoder on sessions that `sessions.py` makes: of digits, turned or not, and of random curves.

    python benchmarks/gestures/train_gestures.py --output run

Each step is an episode of a prototypical network (Snell et al. 2017): 20 gestures, 2 shots and 3 queries of each. The loss
is the mean of that with one shot and that with both. Half of the sessions are of one person, half of many. The digits that
`sessions.HELD_BACK` names are for judging.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from sessions import gestures, session, with_other_sensors

from edge_meta.datasets.motions.paths import STEPS
from edge_meta.datasets.motions.sensors import CHANNELS, rotated
from edge_meta.training.motion import MotionFeatures, tcn
from edge_meta.types import Array

WAY, SHOT, QUERY = 20, 2, 3
TURNS = (0.0, 0.15, 0.35)  # radians by which motions are turned at random after they were made
EVERY = 500


def episode(generator: np.random.Generator) -> Array:
    """Motions (WAY · (SHOT + QUERY), STEPS, 6); those of one gesture lie together."""
    paths = gestures(WAY, SHOT + QUERY, generator)
    motions = with_other_sensors(session(paths, generator), paths, generator)
    turned = rotated(motions, generator.normal(0, generator.choice(TURNS), (len(motions), 3)))
    scaled: Array = (turned * np.exp(generator.uniform(-0.5, 0.5))).astype(np.float32)
    return scaled


def loss_of(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy over squared distances to prototypes of one shot and of two, and accuracy with one."""
    dim = embeddings.shape[-1]
    grouped = tf.reshape(embeddings, (WAY, SHOT + QUERY, dim))
    shots, queries = grouped[:, :SHOT], tf.reshape(grouped[:, SHOT:], (WAY * QUERY, 1, dim))
    labels = tf.repeat(tf.range(WAY), QUERY)
    losses, right = [], []
    for prototypes in (shots[:, 0], tf.reduce_mean(shots, axis=1)):
        distances = tf.reduce_sum((queries - prototypes) ** 2, axis=-1) / dim**0.5
        losses.append(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, -distances)))
        right.append(tf.reduce_mean(tf.cast(tf.argmin(distances, axis=1, output_type=tf.int32) == labels, tf.float32)))
    return tf.add_n(losses) / len(losses), right[0]


@click.command()
@click.option("--output", required=True, metavar="FOLDER")
@click.option("--steps", default=10000, show_default=True)
@click.option("--learning-rate", default=4e-3, show_default=True)
def main(output: str, steps: int, learning_rate: float) -> None:
    """Write network.keras and the curve to FOLDER."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    features, network = MotionFeatures(), tcn()
    features.build((None, STEPS, len(CHANNELS)))
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, steps - 150, warmup_target=learning_rate, warmup_steps=150
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=5.0)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(motions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, accuracy = loss_of(network(features(motions), training=True))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return loss, accuracy

    generator, seen, curve, began = np.random.default_rng(0), [], [], time.monotonic()
    for number in range(1, steps + 1):
        seen.append([float(value) for value in step(tf.constant(episode(generator)))])
        if number % EVERY == 0 or number == steps:
            loss, accuracy = np.mean(seen, axis=0)
            left = (time.monotonic() - began) / number * (steps - number) / 60
            print(
                f"step {number:5}/{steps}  loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  {left:.0f} min left", flush=True
            )
            curve.append(json.dumps({"step": number, "loss": float(loss), "accuracy": float(accuracy)}))
            (folder / "metrics.jsonl").write_text("\n".join(curve) + "\n")
            seen.clear()
            network.save(folder / "network.keras")


if __name__ == "__main__":
    main()
