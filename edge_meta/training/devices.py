"""Where a run trains: one CPU or GPU, all GPUs of a host, or several hosts; all by `tf.distribute`.

Several hosts are several processes of the same command, each with the environment variable TF_CONFIG that TensorFlow
specifies: {"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from edge_meta.errors import TrainingError


def strategy() -> tf.distribute.Strategy:
    """The strategy for what this process has: TF_CONFIG's workers, else all GPUs if there are several, else one device.

    Call it before TensorFlow does anything else.

    Raises:
        TrainingError: TF_CONFIG cannot be used.
    """
    if "TF_CONFIG" in os.environ:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, tf.errors.OpError) as error:
            raise TrainingError(
                f"The workers of TF_CONFIG cannot train together ({str(error).splitlines()[0]}).",
                "Give every process a TF_CONFIG of its own index, and start them all; or unset it to train here alone.",
            ) from None
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes the run's folder: the first worker."""
    workers = strategy.cluster_resolver
    return workers is None or workers.task_type is None or (workers.task_id or 0) == 0


def several_hosts(strategy: tf.distribute.Strategy) -> bool:
    return strategy.num_replicas_in_sync > 1 and isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@contextmanager
def lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow raises when another worker is gone into a TrainingError that says so."""
    try:
        yield
    except tf.errors.OpError as error:
        if not several_hosts(strategy):
            raise
        lines = error.message.splitlines()
        reason = next((line for line in lines if "aborted by" in line), lines[0])
        raise LostWorkerError(
            f"Another worker of this run is gone ({reason}).", "Start all workers again, with --resume."
        ) from None


class LostWorkerError(TrainingError):
    """Another process of a run on several hosts has ended."""
