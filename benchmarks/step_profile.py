"""Profile a training step by layers, and set its convolutions' rate against the machine's arithmetic peak.

    python benchmarks/step_profile.py [--encoder conv4] [--json]

Print the step's time and rate, and the shares of its parts. The step is benchmarks/training.py's: a prototypical network on
60-way episodes of 5 images, float32, all cores. `input` is the share of the whole step that drawing episodes takes. `layers`
are shares of layers, by kind: each of the encoder's layers is timed alone, forward and backward, on the shapes it has in the
step. The rest of the step is the head, the optimizer, and what TensorFlow gains or loses by running them together. The
arithmetic rate of the convolutions counts two operations for each multiply-add and three passes (forward, gradient of the
input, gradient of the kernel; two where the input is the image). The peak is the rate of the best square matrix product.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from edge_meta.benchmarking.timing import median_seconds
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import ENCODERS, ProtoNet
from edge_meta.training.step import train_step

WAY, SHOT, QUERY = 60, 1, 4
IMAGES = WAY * (SHOT + QUERY)
RUNS, WARMUP = 15, 2


def seconds(run: Callable[[], Any]) -> float:
    return median_seconds({"run": run}, RUNS, WARMUP)["run"]


def layer_seconds(layer: keras.Layer, from_image: bool) -> float:
    """Time a layer's forward and backward pass on random values."""
    given = [tf.random.normal((IMAGES, *tensor.shape[1:])) for tensor in tf.nest.flatten(layer.input)]

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types here
    def both(gradient: tf.Tensor) -> Any:
        sources = [*([] if from_image else given), *(variable.value for variable in layer.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            output = layer(given if len(given) > 1 else given[0], training=True)
        return tape.gradient(output, sources, gradient)

    gradient = tf.random.normal((IMAGES, *layer.output.shape[1:]))
    return seconds(lambda: [each.numpy() for each in both(gradient)[:1]])


def operations(layer: keras.Layer, from_image: bool) -> float:
    """Count the floating-point operations of a convolution's passes over the batch."""
    return 2.0 * (2 if from_image else 3) * IMAGES * float(np.prod(layer.output.shape[1:]) * np.prod(layer.kernel.shape[:3]))


def multiply(matrix: tf.Tensor) -> Any:
    return tf.matmul(matrix, matrix).numpy()  # which waits until it is done


def peak() -> float:
    """Return the floating-point operations a second of a float32 matrix product."""
    rates = []
    for size in (1024, 2048, 3072):
        matrix = tf.random.normal((size, size))
        rates.append(2.0 * size**3 / seconds(partial(multiply, matrix)))
    return max(rates)


@click.command()
@click.option("--encoder", default="conv4", show_default=True, type=click.Choice(list(ENCODERS)))
@click.option("--json", "as_json", is_flag=True)
def main(encoder: str, as_json: bool) -> None:
    """Time a training step and its parts."""
    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28, 1), np.uint8)
    labels = np.repeat(np.arange(100, dtype=np.int32), 20)
    data = Dataset("random", "train", images, labels, tuple(map(str, range(100))), ("",) * 100)
    learner = ProtoNet(ENCODERS[encoder]((28, 28, 1)))
    learner.compile()
    assert learner.optimizer is not None
    learner.optimizer.build(learner.trainable_variables)
    sampler = EpisodeSampler(data, WAY, SHOT, QUERY)
    step = train_step(learner, sampler, augment=False)
    whole = seconds(lambda: step([sampler.episode(0)], 0))
    drawing = seconds(lambda: sampler.episode(0))

    layers: dict[str, float] = {}
    done = 0.0
    for layer in learner.encoder.layers[1:]:
        from_image = layer.input is learner.encoder.input
        layers[type(layer).__name__] = layers.get(type(layer).__name__, 0.0) + layer_seconds(layer, from_image)
        if isinstance(layer, keras.layers.Conv2D):
            done += operations(layer, from_image)
    best = peak()
    result: dict[str, Any] = {
        "encoder": encoder,
        "images_per_second": IMAGES / whole,
        "step_ms": 1e3 * whole,
        "input": drawing / whole,
        "layers": {kind: time / whole for kind, time in sorted(layers.items(), key=lambda item: -item[1])},
        "gflops": {"step": done / whole / 1e9, "convolutions": done / layers["Conv2D"] / 1e9, "peak": best / 1e9},
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{encoder}: {1e3 * whole:.1f} ms a step of {IMAGES} images, {IMAGES / whole:,.0f} images/s")
    click.echo(f"  {drawing / whole:6.1%}  input")
    for kind, share in result["layers"].items():
        click.echo(f"  {share:6.1%}  {kind}")
    rates = result["gflops"]
    click.echo(
        f"GFLOP/s: {rates['step']:.0f} in the step, {rates['convolutions']:.0f} in convolutions, peak {rates['peak']:.0f}"
    )


if __name__ == "__main__":
    main()
