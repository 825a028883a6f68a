"""One step of the outer loop, on all devices of a strategy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.training.example_tensors import distortion_of, normalized
from edge_meta.training.learner import Learner
from edge_meta.training.malloc import keep_freed_memory


def require_step(strategy: tf.distribute.Strategy, episodes: int, tasks: int, xla: bool) -> None:
    """Check that episodes fill steps of that many tasks, and that the devices can run them.

    Raises:
        TrainingError: they do not.
    """
    replicas = strategy.num_replicas_in_sync
    if tasks < 1 or episodes % tasks:
        raise TrainingError(f"{episodes} episodes are not a multiple of {tasks} tasks a step.", "Change one of the two.")
    if tasks % replicas:
        raise TrainingError(
            f"{tasks} tasks a step cannot be shared out evenly among {replicas} devices.",
            f"Use a multiple of {replicas} tasks.",
        )
    if xla and replicas > 1:
        raise TrainingError("XLA compiles the step of a single device.", "Leave --xla out, or train on one device.")


def train_step(
    learner: Learner, sampler: EpisodeSampler, augment: bool, xla: bool = False
) -> Callable[[list[Episode], int], tuple[float, float]]:
    """A function that takes one step of the outer loop.

    The dataset stays in TensorFlow's memory as read, or in its file (see `datasets.shards`), and a step is fed indices
    alone, so that input costs next to nothing.

    Args:
        learner: a compiled method, whose optimizer is built.
        sampler: where the episodes are drawn from; its seed is that of distortions.
        augment: distort every example by itself; see `example_tensors.distortion_of`.
        xla: compile the step with XLA.

    Returns:
        The function: from the episodes of a meta-batch and the number of the first, to loss and accuracy, means over all.
        Each replica of the learner's strategy takes an equal share of the episodes.
    """
    keep_freed_memory()
    strategy, replicas = learner.strategy, learner.strategy.num_replicas_in_sync
    examples = sampler.dataset.examples
    # Those of a file that is mapped into memory stay there.
    images = examples if isinstance(examples, np.memmap) else tf.constant(examples)
    change = distortion_of(learner.input_spec)
    targets = None if augment else learner.targets_of(sampler.dataset)

    def gather(indices: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        places = tf.reshape(indices, [-1])
        if isinstance(images, np.memmap):
            gathered = tf.numpy_function(lambda rows: np.asarray(images[rows]), [places], tf.uint8, stateful=False)
            gathered.set_shape((*places.shape, *images.shape[1:]))
        else:
            gathered = tf.gather(images, places)
        gathered = tf.cast(gathered, tf.float32)
        if augment:
            gathered = change(gathered, seed)
        return tf.reshape(normalized(learner.input_spec, gathered), (*indices.shape, *images.shape[1:]))

    def learn(support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        seeds = tf.random.split(tf.stack([sampler.seed, number]), 2)
        images_of = gather(support, seeds[0]), gather(query, seeds[1])
        targets_of = () if targets is None else (tf.gather(targets, support), tf.gather(targets, query))
        loss, accuracy, gradients = learner.gradients(*images_of, classes, *targets_of)
        # Keras adds up the gradients of all replicas; the loss is the mean over them.
        shares = [gradient / replicas for gradient in gradients]
        learner.optimizer.apply_gradients(zip(shares, learner.trainable_variables, strict=True))
        return tf.stack([loss, accuracy])

    def on_all_devices(shares: tuple[tf.Tensor, ...]) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(learn, shares), axis=None)

    step = tf.function(on_all_devices, jit_compile=xla)

    def run(episodes: list[Episode], number: int) -> tuple[float, float]:
        indices = [np.stack([getattr(each, side) for each in episodes]) for side in ("support", "query", "classes")]

        def share(replica: tf.distribute.experimental.ValueContext) -> tuple[tf.Tensor, ...]:
            first = replica.replica_id_in_sync_group * len(episodes) // replicas
            rows = slice(first, first + len(episodes) // replicas)
            return (*(tf.constant(each[rows]) for each in indices), tf.constant(number + first))

        loss, accuracy = step(strategy.experimental_distribute_values_from_function(share)).numpy()
        return float(loss), float(accuracy)

    return run
