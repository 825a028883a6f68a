"""Devices to train on, by `tf.distribute`: one CPU or GPU, all GPUs of a host, or several hosts.

Several hosts are several processes of the same command, each with the environment variable TF_CONFIG that TensorFlow
specifies: {"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from edge_meta.errors import TrainingError

ALONE = "or unset it to train here alone."


def strategy() -> tf.distribute.Strategy:
    """The strategy for this process: TF_CONFIG's workers; else all GPUs, if there are several; else one device.

    Call it before TensorFlow does anything else. With TF_CONFIG it waits until all workers have started, an hour at most.

    Raises:
        TrainingError: TF_CONFIG cannot be used.
    """
    if "TF_CONFIG" in os.environ:
        _require_worker(os.environ["TF_CONFIG"])
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            raise TrainingError(
                f"The workers of TF_CONFIG cannot train together ({str(error).splitlines()[0]}).",
                f"Check its addresses, and start all of them; {ALONE}",
            ) from None
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's folder: of several workers, the first alone does."""
    workers = strategy.cluster_resolver
    return workers is None or not workers.task_id


def several_hosts(strategy: tf.distribute.Strategy) -> bool:
    """Whether other workers train with this process."""
    workers = strategy.cluster_resolver
    return workers is not None and len(workers.cluster_spec().as_dict().get("worker", [])) > 1


@contextmanager
def lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn TensorFlow's errors about another worker that is gone into a TrainingError."""
    errors = tf.errors
    try:
        yield
    except (errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError) as error:
        if not several_hosts(strategy):
            raise
        lines = error.message.splitlines()
        reason = next((line for line in lines if "aborted by" in line), lines[0])
        raise TrainingError(
            f"Another worker of this run is gone ({reason}); the last checkpoint is kept.",
            "Start all workers again, with --resume.",
        ) from None


def _require_worker(config: str) -> None:
    """Check that TF_CONFIG names workers alone, and this process among them.

    TensorFlow accepts other values, and then trains alone, or with two processes that both act as the chief.

    Raises:
        TrainingError: it does not.
    """
    try:
        read = json.loads(config)
        cluster, task = read["cluster"], read["task"]
        sound = set(cluster) == {"worker"} and task["type"] == "worker" and 0 <= task["index"] < len(cluster["worker"])
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise TrainingError(
            "TF_CONFIG does not name this process among its workers.",
            'Use {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}, with another index '
            f"for every process; {ALONE}",
        )
