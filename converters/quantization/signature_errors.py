"""Compare the file's signatures with a float64 reference: the largest error of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import ExportError
from edge_meta.heads import linear
from edge_meta.types import Array, Integers

# Sums in float32 are off by about 1e-6. A head that is quantized, or overflows, is off by far more than this.
HEAD_TOLERANCE = 1e-2


def signature_errors(
    interpreter: Any, exact: Array, embeddings: Array, labels: NDArray[np.int32], rates: tuple[float, ...]
) -> dict[str, float]:
    """Run the signatures on a dataset's embeddings.

    Args:
        interpreter: of the file.
        exact: embeddings (n, D) by the float encoder.
        embeddings: those of the file, (n, D).
        labels: (n,), of the embeddings.
        rates: learning rates for the training steps.

    Returns:
        Signature → max |found − reference| / max |reference| over its outputs, the worst output's.

    Raises:
        ExportError: a head is off by more than `HEAD_TOLERANCE`.
    """
    errors = {"embed": _error(embeddings, exact)}
    sizes = interpreter.get_signature_list()
    if "train_step" in sizes:
        shots, classes = interpreter.get_signature_runner("train_step").get_input_details()["onehot"]["shape"]
        # Spread over the data to have many labels; the last row of the heads stays empty.
        chosen = np.linspace(0, len(labels) - 1, min(shots, len(labels))).astype(int)
        _, which = np.unique(labels[chosen], return_inverse=True)
        which = which % max(1, classes - 1)
        given = embeddings[chosen]
        errors |= _head_errors(interpreter, given, which, int(shots), int(classes), rates)
    wrong = {name: error for name, error in errors.items() if name != "embed" and not error < HEAD_TOLERANCE}
    if wrong:
        name, error = max(wrong.items(), key=lambda item: item[1])
        raise ExportError(
            f"The head {name} of the converted file is off by {error:.2g} of its largest value.",
            "Train again with a smaller learning rate, or divide the embeddings by their size in a last layer.",
        )
    return {name: float(f"{error:.3g}") for name, error in errors.items()}


def _head_errors(
    interpreter: Any, shots: Array, labels: Integers, m: int, n: int, rates: tuple[float, ...]
) -> dict[str, float]:
    """Measure the errors of enroll, score and train_step on shots (k, D) of labels (k,) below n, with k at most m."""
    dim, known = shots.shape[1], int(labels.max()) + 1
    real: Any = shots.astype(np.float64)  # the same functions as on the device, in double precision
    counts = np.bincount(labels, minlength=n)
    prototypes: Any = np.zeros((n, dim))
    prototypes[:known] = [real[labels == label].mean(axis=0) for label in range(known)]

    enroll = interpreter.get_signature_runner("enroll")
    state = {"prototypes": np.zeros((n, dim), np.float32), "counts": np.zeros(n, np.float32)}
    for shot, label in zip(shots, labels, strict=True):
        state = enroll(embedding=shot[None], onehot=np.eye(n, dtype=np.float32)[label], **state)
    enrolling = max(_error(state["prototypes"], prototypes), _error(state["counts"], counts))

    scoring = 0.0
    score = interpreter.get_signature_runner("score")
    given = {"prototypes": prototypes.astype(np.float32), "counts": counts.astype(np.float32)}
    for shot in shots[:50]:
        found = {name: values[0, :known].astype(np.float64) for name, values in score(embedding=shot[None], **given).items()}
        distances = linear.squared_distances(shot.astype(np.float64), given["prototypes"][:known].astype(np.float64))
        # Compare scores by the file's own distances: far from all prototypes, the rounding of these decides.
        probabilities = linear.softmax(-found["distances"])
        scoring = max(scoring, _error(found["distances"], distances), _error(found["scores"], probabilities))

    step = interpreter.get_signature_runner("train_step")
    onehot, padded = np.zeros((m, n), np.float32), np.zeros((m, dim), np.float32)
    onehot[np.arange(len(labels)), labels], padded[: len(shots)] = 1.0, shots
    weights, bias = linear.linear_from_prototypes(prototypes[:known])
    w, b = np.zeros((dim, n), np.float32), np.zeros(n, np.float32)
    w[:, :known], b[:known] = weights, bias
    rate_shape = step.get_input_details()["learning_rate"]["shape"]
    losses = []
    for rate in rates:
        weights, bias, loss = linear.linear_step(real, labels, weights, bias, rate)
        done = step(
            embeddings=padded, onehot=onehot, class_mask=(counts > 0).astype(np.float32), W=w, b=b,
            learning_rate=np.full(rate_shape, rate, np.float32),
        )  # fmt: skip
        w, b = done["W"], done["b"]
        losses.append((done["loss"].item(), loss))
    stepping = max(_error(w[:, :known], weights), _error(b[:known], bias), _error(*np.array(losses).T))
    return {"enroll": enrolling, "score": scoring, "train_step": stepping}


def _error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    largest = max(float(np.abs(exact).max()), float(np.finfo(np.float32).tiny))
    error = float(np.abs(found.astype(np.float64) - exact).max()) / largest
    return error if np.isfinite(error) else np.inf  # max() would pass over a NaN
