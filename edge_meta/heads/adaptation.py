"""Fit the last layer to enrolled shots, and judge it by shots held out: what `adapt` does, and `evaluate` with it.

A solver offers heads to choose from. Each shot is held out once: the head that judges it was neither started from it nor
trained on it. A label with one shot cannot spare it; the shot is trained on and not judged. A head is chosen if it
gets no fewer of the held-out shots right than the prototypes, and its mean cross-entropy on them is the least; else the
prototypes stay.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots, J of those that are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from edge_meta.choices import SOLVERS
from edge_meta.errors import InputError
from edge_meta.heads import linear
from edge_meta.heads.closed_form import Head, discriminant_heads, ridge_heads
from edge_meta.types import Array, Integers

CLOSED_FORMS = {"lda": discriminant_heads, "ridge": ridge_heads}
FOLDS = 10
PATIENCE = 10
MARGINS = 2.0 ** np.arange(-2.0, 7.0, 0.5)  # tried by `temperature`


class HeldOutScore(NamedTuple):
    """How a head does on held-out shots: mean cross-entropy, and the fraction that it gets right."""

    loss: float
    accuracy: float


class Fit(NamedTuple):
    """The head to use from now on.

    Attributes:
        weights, bias: float32 (D, N) and (N,); those of the prototypes if nothing did better.
        chosen: which of the solver's heads it is, from 1; with gradient steps, after how many of them. 0: the prototypes.
        judged: how many shots were held out.
        before, after: the prototypes and this head on the held-out shots; None if there were none.
    """

    weights: Array
    bias: Array
    chosen: int
    judged: int
    before: HeldOutScore | None
    after: HeldOutScore | None


@dataclass(frozen=True)
class AdaptationConfig:
    """How to adapt: what was asked for, completed by what the bundle says.

    Attributes:
        solver: one of `choices.SOLVERS`.
        learning_rates: of the gradient steps allowed; none for the other solvers.
        trusted: the rates were learned with the encoder, so that all steps are taken where no shot can be held out.
    """

    solver: str
    learning_rates: tuple[float, ...] = ()
    trusted: bool = False

    @classmethod
    def of(
        cls,
        learned: Sequence[float],
        trusted: bool,
        solver: str | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
    ) -> AdaptationConfig:
        """See `Classifier.adapt`.

        Args:
            learned: the bundle's learning rates, one for each step.
            trusted: that they were learned with the encoder.

        Raises:
            InputError: no such solver, steps or a rate for one that takes none, or impossible ones.
        """
        asked = steps is not None or learning_rate is not None
        if solver is None:
            solver = "gradient" if asked or trusted else "lda"
        if solver not in SOLVERS:
            raise InputError(f"There is no solver {solver!r}.", f"Use one of {', '.join(SOLVERS)}.")
        if solver != "gradient":
            if asked:
                raise InputError(f"The solver {solver} takes no steps.", "Leave steps and rate out, or use gradient.")
            return cls(solver)
        rates = tuple(linear.step_rates(learned, steps, learning_rate))
        return cls(solver, rates, trusted and rates == tuple(learned[: len(rates)]))

    def fit(self, embeddings: Array, labels: Integers, prototypes: Array) -> Fit:
        """Fit a head to shots (M, D) with labels (M,), each of the N labels at least once, and their means (N, D)."""
        with np.errstate(over="ignore", invalid="ignore"):
            head, fit = self._choose(embeddings, labels, prototypes)
            if all(np.isfinite(part).all() for part in head):
                return fit._replace(weights=head[0], bias=head[1])
            return fit._replace(chosen=0, after=fit.before)

    def _choose(self, embeddings: Array, labels: Integers, prototypes: Array) -> tuple[Head, Fit]:
        """The best head, and the prototypes' with what is known of both."""
        held = folds(labels)
        fit = Fit(*linear.linear_from_prototypes(prototypes), len(self.learning_rates) * self.trusted, 0, None, None)
        scale = 1.0
        if held:
            candidates = list(self._candidates(embeddings, labels, len(prototypes), held))
            before = candidates[0][0]
            worth = [index for index, (judged, _) in enumerate(candidates) if judged.accuracy >= before.accuracy]
            chosen = min(worth, key=lambda index: candidates[index][0].loss)  # the first of equals
            after, scale = candidates[chosen]
            fit = fit._replace(chosen=chosen, judged=sum(map(len, held)), before=before, after=after)
        if not fit.chosen:
            return (fit.weights, fit.bias), fit
        weights, bias = next(islice(self._heads(embeddings, labels, prototypes), fit.chosen - 1, None))
        return (np.float32(scale) * weights, np.float32(scale) * bias), fit

    def _heads(self, embeddings: Array, labels: Integers, prototypes: Array) -> Iterator[Head]:
        if self.solver == "gradient":
            steps = linear.descent(embeddings, labels, prototypes, self.learning_rates)
            return ((weights, bias) for weights, bias, _ in steps)
        return CLOSED_FORMS[self.solver](embeddings, labels, prototypes)

    def _candidates(
        self, embeddings: Array, labels: Integers, count: int, held: Sequence[Integers]
    ) -> Iterator[tuple[HeldOutScore, float]]:
        """The prototypes and the solver's heads: how each does on held-out shots, and the factor on its logits.

        Gradient steps end when the loss has found no new minimum for as many steps as it took to the last, and `PATIENCE`.
        """
        truth = labels[np.concatenate(held)]
        starts, paths = [], []
        for fold in held:
            kept = np.delete(np.arange(len(labels)), fold)
            prototypes = means(embeddings[kept], labels[kept], count)
            starts.append(linear.linear_from_prototypes(prototypes))
            paths.append(self._heads(embeddings[kept], labels[kept], prototypes))
        best, best_at = _judged(_logits(embeddings, held, starts), truth), 0
        yield best, 1.0
        for index, made in enumerate(zip(*paths, strict=False), start=1):
            logits = _logits(embeddings, held, made)
            scale = 1.0 if self.learning_rates else temperature(logits, truth)
            judged = _judged(np.float32(scale) * logits, truth)
            if not np.isfinite(judged.loss):
                return
            yield judged, scale
            if judged.loss < best.loss:
                best, best_at = judged, index
            elif self.learning_rates and index >= 2 * best_at + PATIENCE:
                return


class Adapted(NamedTuple):
    """What `Classifier.adapt` did.

    Attributes:
        steps: gradient steps taken, of those allowed; 0 for the other solvers.
        shots, classes: how many the head was fitted to.
        loss_before, loss_after: mean cross-entropy over the enrolled shots, of the prototypes and of the new head.
        solver: `lda`, `gradient` or `ridge`.
        changed: false when no head did better than the prototypes; then the head is as it was before.
        held_out: how many shots were held out once each, to judge by; 0 if no label has two.
        held_out_loss_before, held_out_loss_after, held_out_accuracy_before, held_out_accuracy_after: of the prototypes and
            of the new head, mean cross-entropy and the fraction that is right; None if no shot was held out.
    """

    steps: int
    shots: int
    classes: int
    loss_before: float
    loss_after: float
    solver: str
    changed: bool
    steps_allowed: int
    held_out: int
    held_out_loss_before: float | None
    held_out_loss_after: float | None
    held_out_accuracy_before: float | None
    held_out_accuracy_after: float | None

    @classmethod
    def of(cls, plan: AdaptationConfig, fit: Fit, embeddings: Array, labels: Integers, prototypes: Array) -> Adapted:
        """Of a plan's fit to shots (M, D) with labels (M,) and prototypes (N, D)."""
        loss_before, loss_after = (
            float(linear.cross_entropy(embeddings @ weights + bias, labels)[0].mean())
            for weights, bias in (linear.linear_from_prototypes(prototypes), (fit.weights, fit.bias))
        )
        return cls(
            steps=fit.chosen if plan.solver == "gradient" else 0,
            shots=len(embeddings),
            classes=len(prototypes),
            loss_before=loss_before,
            loss_after=loss_after,
            solver=plan.solver,
            changed=fit.chosen > 0,
            steps_allowed=len(plan.learning_rates),
            held_out=fit.judged,
            held_out_loss_before=fit.before and fit.before.loss,
            held_out_loss_after=fit.after and fit.after.loss,
            held_out_accuracy_before=fit.before and fit.before.accuracy,
            held_out_accuracy_after=fit.after and fit.after.accuracy,
        )


def folds(labels: Integers) -> list[Integers]:
    """Indices of shots to hold out together: every shot whose label has another, once; alone if there are at most `FOLDS`.

    No fold holds all shots of a label.
    """
    spare = np.flatnonzero(np.bincount(labels)[labels] > 1)
    spare = spare[labels[spare].argsort(kind="stable")]
    count = min(FOLDS, len(spare))
    return [spare[first::count] for first in range(count)]


def means(embeddings: Array, labels: Integers, count: int) -> Array:
    """Prototypes (count, D) of shots (M, D) with labels (M,), each at least once."""
    truth = np.eye(count, dtype=np.float32)[labels]
    prototypes: Array = truth.T @ embeddings / truth.sum(axis=0)[:, None]
    return prototypes


def temperature(logits: Array, labels: Integers) -> float:
    """The factor on logits (J, N) that gives the least cross-entropy, of a geometric row of factors.

    Of the labels, 1 / (J + 2) is spread over all, as in Platt's scaling (Platt 1999): a few shots that are all right do not
    call for certainty.
    """
    margin = float(np.mean(logits[np.arange(len(labels)), labels] - logits.mean(axis=1)))
    if not margin > 0:
        return 1.0

    def loss(factor: float) -> float:
        losses, _ = linear.cross_entropy(np.float32(factor) * logits, labels)
        return float(losses.mean()) + factor * margin / (len(labels) + 2)

    return min((float(wanted) / margin for wanted in MARGINS), key=loss)


def _logits(embeddings: Array, held: Sequence[Integers], made: Sequence[Head]) -> Array:
    """Logits (J, N) of the held-out shots, fold by fold, each fold's by its own head."""
    return np.concatenate([embeddings[fold] @ weights + bias for fold, (weights, bias) in zip(held, made, strict=True)])


def _judged(logits: Array, labels: Integers) -> HeldOutScore:
    losses, _ = linear.cross_entropy(logits, labels)
    return HeldOutScore(float(losses.mean()), float(np.mean(logits.argmax(axis=1) == labels)))
