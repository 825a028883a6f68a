"""The last layer over embeddings, in NumPy: distances to prototypes, and the linear head that starts from prototypes.

Shapes: D is the embedding's dimension, N the number of labels, M the number of examples. The same arithmetic stands in
`encoder.tflite` as the signatures `enroll`, `score` and `train_step`, for apps that have no NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.types import Array, Integers

MOST_STEPS = 100_000
# An exponential below this one's is nothing beside 1; products with it would be subnormal numbers, on which processors
# take twenty times as long.
LEAST_LOGIT = np.float32(-70)


class LinearHead(NamedTuple):
    """The columns of a linear head: weights (D, N) and bias (N,), float32."""

    weights: Array
    bias: Array

    def logits(self, embeddings: Array) -> Array:
        """Logits (M, N) of embeddings (M, D)."""
        logits: Array = embeddings @ self.weights + self.bias
        return logits


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


def linear_from_prototypes(prototypes: Array) -> LinearHead:
    """The linear head that classifies as the prototypes (N, D) do: W = 2c (D, N), b = −‖c‖² (N,); Snell et al. 2017, eq. 8.

    Its logits W·x + b differ from −‖x − c‖² by ‖x‖², which is the same for all labels.
    """
    return LinearHead(2.0 * prototypes.T, -np.einsum("nd,nd->n", prototypes, prototypes))


def linear_from_columns(prototypes: Array, columns: Mapping[int, tuple[Array, float]]) -> LinearHead:
    """The linear head of labels of which some have a column of their own.

    A solver may leave all its columns shifted alike, or on another scale than 2c and −‖c‖². A label without a column,
    enrolled since, gets that of its prototype, shifted and scaled as the others are: its distance from the mean of their
    columns is that of the prototypes' columns, times the slope of their logits on their prototypes' logits (least squares,
    at their prototypes).

    Args:
        prototypes: (N, D).
        columns: label index → (weights (D,), bias).
    """
    weights, bias = (np.ascontiguousarray(part) for part in linear_from_prototypes(prototypes))
    own = sorted(columns)
    others = np.setdiff1d(np.arange(len(bias)), own)
    if not own:
        return LinearHead(weights, bias)
    moved_weights = np.stack([columns[index][0] for index in own], axis=1)
    moved_bias = np.array([columns[index][1] for index in own], np.float32)
    if len(others):
        still_weights, still_bias = weights[:, own], bias[own]
        moved, still = (
            logits - logits.mean(axis=1, keepdims=True)
            for logits in (prototypes[own] @ w + b for w, b in ((moved_weights, moved_bias), (still_weights, still_bias)))
        )
        along, square = float(np.vdot(moved, still)), float(np.vdot(still, still))
        slope = np.float32(along / square if along > 0 and square > 0 else 1.0)
        weights[:, others] = moved_weights.mean(axis=1, keepdims=True) + slope * (
            weights[:, others] - still_weights.mean(axis=1, keepdims=True)
        )
        bias[others] = moved_bias.mean() + slope * (bias[others] - still_bias.mean())
    weights[:, own], bias[own] = moved_weights, moved_bias
    return LinearHead(weights, bias)


def cross_entropy(logits: Array, labels: Integers) -> tuple[Array, Array]:
    """Each row's cross-entropy (M,), and its gradient by the logits (M, N): the softmax minus the one-hot label.

    Args:
        logits: (M, N).
        labels: (M,), from 0 to N − 1.
    """
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    excess = np.exp(np.maximum(shifted, LEAST_LOGIT))
    totals = excess.sum(axis=1, keepdims=True)
    losses: Array = np.log(totals[:, 0]) - shifted[rows, labels]
    excess /= totals
    excess[rows, labels] -= 1.0
    return losses, excess


def linear_step(
    embeddings: Array, labels: Integers, weights: Array, bias: Array, learning_rate: float
) -> tuple[Array, Array, float]:
    """One step of gradient descent on the mean cross-entropy of a linear head.

    Args:
        embeddings: (M, D).
        labels: (M,), from 0 to N − 1.
        weights, bias: (D, N) and (N,).

    Returns:
        New weights, new bias, and the loss before the step.
    """
    losses, excess = cross_entropy(embeddings @ weights + bias, labels)
    rate = np.float32(learning_rate / len(labels))
    return weights - rate * (embeddings.T @ excess), bias - rate * excess.sum(axis=0), float(losses.mean())


def step_rates(learned: Sequence[float], steps: int | None = None, learning_rate: float | None = None) -> list[float]:
    """A learning rate for each of `steps` steps, or for as many as were learned; later steps take the last learned one.

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


def descent(
    embeddings: Array, labels: Integers, prototypes: Array, learning_rates: Iterable[float]
) -> Iterator[tuple[LinearHead, float]]:
    """Take gradient steps from the prototypes, one for each learning rate; yield the head after each, and the loss before it
    (Triantafillou et al. 2020, Proto-MAML, restricted to the last layer)."""
    head = linear_from_prototypes(prototypes)
    for rate in learning_rates:
        weights, bias, loss = linear_step(embeddings, labels, *head, rate)
        head = LinearHead(weights, bias)
        yield head, loss


def adapt(
    embeddings: Array, labels: Integers, prototypes: Array, learning_rates: Iterable[float]
) -> tuple[Array, Array, list[float]]:
    """Take all steps of `descent`.

    Returns:
        Weights (D, N), bias (N,), and the loss before each step.
    """
    head, losses = linear_from_prototypes(prototypes), []
    for stepped, loss in descent(embeddings, labels, prototypes, learning_rates):
        head = stepped
        losses.append(loss)
    return *head, losses
