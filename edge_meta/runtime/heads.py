"""The last layer over embeddings, in NumPy: prototypes, and the linear head that starts from them.

Shapes: D is the embedding's dimension, N the number of labels, M the number of examples. The same arithmetic stands in
`encoder.tflite` as the signatures `enroll`, `score` and `train_step`, for apps that have no NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError

Array = NDArray[np.float32]

MOST_STEPS = 100_000


def squared_distances(embedding: NDArray[Any], prototypes: NDArray[Any]) -> NDArray[Any]:
    """‖f(x) − c_k‖² of one embedding (D,) to prototypes (N, D), as (N,), in the wider type of the two."""
    difference = prototypes - embedding
    distances: NDArray[Any] = np.einsum("nd,nd->n", difference, difference)
    return distances


def softmax(logits: Array) -> Array:
    """Softmax over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def linear_from_prototypes(prototypes: Array) -> tuple[Array, Array]:
    """The linear head that classifies as the prototypes (N, D) do: W = 2c (D, N), b = −‖c‖² (N,); Snell et al. 2017, eq. 8.

    Its logits W·x + b differ from −‖x − c‖² by ‖x‖², which is the same for all labels.
    """
    return 2.0 * prototypes.T, -np.einsum("nd,nd->n", prototypes, prototypes)


def linear_step(
    embeddings: Array, labels: NDArray[np.int64], weights: Array, bias: Array, learning_rate: float
) -> tuple[Array, Array, float]:
    """One step of gradient descent on the mean cross-entropy of a linear head.

    Args:
        embeddings: (M, D).
        labels: (M,), from 0 to N − 1.
        weights, bias: (D, N) and (N,).

    Returns:
        New weights, new bias, and the loss before the step.
    """
    logits = embeddings @ weights + bias
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    totals = probabilities.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(totals[:, 0]) - shifted[rows, labels]))
    probabilities /= totals
    probabilities[rows, labels] -= 1.0
    gradient = probabilities / np.float32(len(labels))
    rate = np.float32(learning_rate)
    return weights - rate * (embeddings.T @ gradient), bias - rate * gradient.sum(axis=0), loss


def step_rates(learned: Sequence[float], steps: int | None = None, learning_rate: float | None = None) -> list[float]:
    """A learning rate for each of `steps` steps, or as many as were learned; steps beyond those go on with the last.

    Args:
        learned: of the bundle.
        learning_rate: the same for all steps, in place of the learned ones.

    Raises:
        InputError: steps below 1 or far too many, or a learning rate that is not above zero.
    """
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise InputError(f"{steps} steps are not possible.", f"Use 1 to {MOST_STEPS}.")
    if learning_rate is not None and not (np.isfinite(learning_rate) and learning_rate > 0):
        raise InputError(f"A learning rate of {learning_rate} is not possible.", "Use a number above zero.")
    count = steps if steps is not None else len(learned)
    if learning_rate is not None:
        return [learning_rate] * count
    return [*learned[:count], *[learned[-1]] * (count - len(learned))]


def adapt(
    embeddings: Array, labels: NDArray[np.int64], prototypes: Array, learning_rates: Sequence[float]
) -> tuple[Array, Array, list[float]]:
    """Move the linear head away from its prototypes: one `linear_step` for each learning rate (Triantafillou et al. 2020,
    Proto-MAML, restricted to the last layer).

    Returns:
        Weights (D, N), bias (N,), and the loss before each step.
    """
    weights, bias = linear_from_prototypes(prototypes)
    losses = []
    for rate in learning_rates:
        weights, bias, loss = linear_step(embeddings, labels, weights, bias, rate)
        losses.append(loss)
    return weights, bias, losses
