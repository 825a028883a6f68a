"""Train the `keywords` encoder on what `collect_words.py` wrote: from a teacher, and from episodes.

    python benchmarks/keywords/train_words.py keywords.npz --output run --steps 5000

Each step draws 24 words and 4 recordings of each, of different speakers where there are. Two are shots, two are queries of
a prototypical network (Snell et al. 2017). A linear layer on top, which is thrown away, gives the teacher's answer to the
recording as it is (1 − cosine), while the encoder hears it shifted, at another speed, in a room, through noise and with
bands and times masked (Park et al. 2019, SpecAugment). A checkpoint is written every 200 steps; a second start goes on from
it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.training.keyword_net import dscnn
from edge_meta.training.log_mel import LogMel
from edge_meta.types import Array

SAMPLES = 16000
WORDS, EACH, SHOTS = 24, 4, 2
OF_PEOPLE = 14  # of the words in a step, the others are machines'
SHARPNESS = 12.0  # of the softmax over squared distances of unit vectors
TEACHER = 1.0  # weight of its loss
EVERY = 200  # steps


class Sampler:
    """Draws words, and recordings of different speakers of each."""

    def __init__(self, word: NDArray[np.str_], speaker: NDArray[np.str_], seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._speaker = speaker
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(word):
            rows.setdefault(str(name), []).append(row)
        found = {name: np.array(each) for name, each in rows.items() if len(each) >= EACH}
        self._machines = [each for name, each in found.items() if name.startswith("synthetic")]
        self._people = [each for name, each in found.items() if not name.startswith("synthetic")]

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Rows (words · EACH,), the recordings of a word together."""
        while True:
            chosen = []
            for groups, count in ((self._people, OF_PEOPLE), (self._machines, WORDS - OF_PEOPLE)):
                for index in self._generator.choice(len(groups), count, replace=False):
                    shuffled = self._generator.permutation(groups[index])
                    _, first = np.unique(self._speaker[shuffled], return_index=True)
                    first = self._generator.permutation(first)[:EACH]
                    rest = np.setdiff1d(np.arange(len(shuffled)), first)[: EACH - len(first)]
                    chosen.append(self._generator.permutation(shuffled[np.concatenate([first, rest])]))
            yield np.concatenate(chosen)


def heard_elsewhere(samples: tf.Tensor) -> tf.Tensor:
    """Recordings (n, 16000), −1 to 1, shifted by up to 0.2 s, 0.85 to 1.18 times as fast, in a room, through noise."""
    count = tf.shape(samples)[0]
    speed = tf.exp(tf.random.uniform((count, 1), -0.16, 0.16))
    shift = tf.random.uniform((count, 1), -3200.0, 3200.0)
    at = (tf.range(SAMPLES, dtype=tf.float32)[None] - SAMPLES / 2) * speed + SAMPLES / 2 + shift
    inside = tf.cast((at >= 0) & (at <= SAMPLES - 2), tf.float32)
    low = tf.clip_by_value(tf.cast(tf.floor(at), tf.int32), 0, SAMPLES - 2)
    part = at - tf.cast(low, tf.float32)
    x = (tf.gather(samples, low, batch_dims=1) * (1 - part) + tf.gather(samples, low + 1, batch_dims=1) * part) * inside
    spectrum = tf.signal.rfft(x, [2 * SAMPLES])
    length = 4800
    decay = tf.exp(-tf.range(length, dtype=tf.float32)[None] / tf.random.uniform((count, 1), 200.0, 1800.0))
    echo = tf.random.normal((count, length)) * decay * tf.random.uniform((count, 1), 0.0, 0.25)
    direct = tf.one_hot(tf.zeros((count,), tf.int32), length)
    in_room = tf.cast(tf.random.uniform((count, 1)) < 0.5, tf.float32)
    x = tf.signal.irfft(spectrum * tf.signal.rfft(direct + in_room * echo, [2 * SAMPLES]))[:, :SAMPLES]
    white = tf.random.normal((count, SAMPLES))
    slope = tf.random.uniform((count, 1), 0.0, 1.0)  # of white to pink noise
    frequency = tf.maximum(tf.range(SAMPLES // 2 + 1, dtype=tf.float32)[None], 20.0)
    noise = tf.signal.irfft(tf.signal.rfft(white) * tf.cast(frequency**-slope, tf.complex64))
    babble = sum(tf.roll(tf.random.shuffle(samples), SAMPLES // 3 * turn, axis=1) for turn in range(3))
    noise = tf.where(tf.random.uniform((count, 1)) < 0.4, babble, noise)
    ratio = tf.pow(10.0, -tf.random.uniform((count, 1), 3.0, 40.0) / 20)
    return x + noise * ratio * _loudness(x) / (_loudness(noise) + 1e-9)


def _loudness(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(x**2, axis=1, keepdims=True))


def masked(log_mel: tf.Tensor) -> tf.Tensor:
    """Up to 7 bands and 14 frames of each spectrogram set to its mean, half of the time each."""
    shape = tf.shape(log_mel)
    keep = tf.ones(shape)
    for axis, most in ((1, 15), (2, 8)):
        place = tf.range(shape[axis])[None]
        width = tf.random.uniform((shape[0], 1), 0, most, tf.int32)
        width *= tf.random.uniform((shape[0], 1), 0, 2, tf.int32)
        start = tf.random.uniform((shape[0], 1), 0, shape[axis], tf.int32)
        hidden = tf.cast((place >= start) & (place < start + width), tf.float32)
        keep *= 1 - (hidden[:, :, None, None] if axis == 1 else hidden[:, None, :, None])
    mean = tf.reduce_mean(log_mel, axis=(1, 2), keepdims=True)
    return log_mel * keep + mean * (1 - keep)


def episode_loss(embeddings: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of queries over squared distances to prototypes; recordings of a word lie together."""
    grouped = tf.reshape(embeddings, (WORDS, EACH, -1))
    prototypes = tf.reduce_mean(grouped[:, :SHOTS], axis=1)
    queries = tf.reshape(grouped[:, SHOTS:], (WORDS * (EACH - SHOTS), -1))
    distances = tf.reduce_sum((queries[:, None] - prototypes[None]) ** 2, axis=-1)
    labels = tf.repeat(tf.range(WORDS), EACH - SHOTS)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, -SHARPNESS * distances))


def scaled_teacher(answers: Array, train: NDArray[np.bool_]) -> Array:
    """The teacher's answers, each value centred and divided by its spread over what is trained on, at unit length."""
    chosen = answers[train]
    values = (answers - chosen.mean(axis=0)) / (chosen.std(axis=0) + 1e-6)
    unit: Array = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return unit


def validation_accuracy(model: keras.Model, front: LogMel, x: NDArray[np.int16], word: NDArray[np.str_]) -> float:
    """5-way 1-shot accuracy on words and speakers of val."""
    names, labels = np.unique(word, return_inverse=True)
    order = np.argsort(labels, kind="stable")
    batches = np.array_split(x[order], max(1, len(x) // 64))
    embeddings = np.concatenate([model(front(batch / np.float32(32768)), training=False).numpy() for batch in batches])
    data = Dataset("words", "val", x[order], labels[order].astype(np.int32), tuple(names), ("",) * len(names))
    return float(accuracies(embeddings, EpisodeSampler(data, 5, 1, 8, seed=0), 400).mean())


@click.command()
@click.argument("recordings", metavar="NPZ")
@click.option("--output", required=True, metavar="FOLDER")
@click.option("--steps", default=5000, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
def main(recordings: str, output: str, steps: int, learning_rate: float) -> None:
    """Write encoder.keras, which takes samples, to FOLDER, and the curve."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    data = dict(np.load(recordings))
    train, val = data["split"] == "train", data["split"] == "val"
    x, target = data["x"][train], scaled_teacher(data["teacher"], train)[train]
    keras.utils.set_random_seed(0)
    front, network = LogMel(), dscnn()
    to_teacher = keras.layers.Dense(target.shape[1], use_bias=False)
    to_teacher.build((None, network.output_shape[-1]))
    variables = [*network.trainable_variables, *to_teacher.trainable_variables]
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, steps - steps // 20, warmup_target=learning_rate, warmup_steps=steps // 20
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.02, clipnorm=5.0)
    optimizer.build(variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(samples: tf.Tensor, wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        spectrograms = masked(front(heard_elsewhere(tf.cast(samples, tf.float32) / 32768)))
        with tf.GradientTape() as tape:
            embeddings = network(spectrograms, training=True)
            episode = episode_loss(embeddings)
            answer = tf.math.l2_normalize(to_teacher(embeddings), axis=-1)
            distance = 1 - tf.reduce_mean(tf.reduce_sum(answer * wanted, axis=-1))
            loss = episode + TEACHER * distance
        optimizer.apply(tape.gradient(loss, variables), variables)
        return episode, distance

    checkpoint = tf.train.Checkpoint(
        weights=[v.value for v in [*network.variables, *to_teacher.variables]], state=[v.value for v in optimizer.variables],
        done=(done := tf.Variable(0)),
    )  # fmt: skip
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoint"), max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    sampler, seen, began = iter(Sampler(data["word"][train], data["speaker"][train], int(done))), [], time.monotonic()
    first = int(done)
    while int(done) < steps:
        rows = next(sampler)
        seen.append([float(loss) for loss in step(x[rows], target[rows])])
        done.assign_add(1)
        if int(done) % EVERY == 0 or int(done) == steps:
            accuracy = validation_accuracy(network, front, data["x"][val], data["word"][val])
            episode, distance = np.mean(seen, axis=0)
            left = (time.monotonic() - began) / (int(done) - first) * (steps - int(done)) / 60
            print(f"step {int(done):5}/{steps}  episodes {episode:.3f}  teacher {distance:.3f}  "
                  f"validation {100 * accuracy:.1f} %  {left:.0f} min left", flush=True)  # fmt: skip
            with open(folder / "metrics.jsonl", "a") as log:
                row = {"step": int(done), "episodes": episode, "teacher": distance, "val_accuracy": accuracy}
                print(json.dumps(row), file=log)
            seen.clear()
            manager.save()
    network.save(folder / "network.keras")


if __name__ == "__main__":
    main()
