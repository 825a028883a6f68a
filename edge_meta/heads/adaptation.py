"""Fit the last layer to enrolled shots, and choose among the prototypes and a solver's heads by held-out shots.

Choose the head with the least mean cross-entropy on held-out shots, among those that get no fewer of them right than the
prototypes; see `edge_meta.heads.held_out`. If none does better than the prototypes, the head is theirs.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots.
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
from edge_meta.heads.closed_form import discriminant_heads, ridge_heads
from edge_meta.heads.held_out import HeldOutScore, folds, held_out_logits, temperature
from edge_meta.heads.linear import LinearHead
from edge_meta.heads.prototypes import class_means
from edge_meta.types import Array, Integers

CLOSED_FORMS = {"lda": discriminant_heads, "ridge": ridge_heads}
PATIENCE = 10  # gradient steps, at least, to wait for a new minimum of the loss


class Fit(NamedTuple):
    """The head to use from now on.

    Attributes:
        head: of the N labels; the prototypes' if no head did better.
        chosen: which of the solver's heads it is, from 1; with gradient steps, after how many of them. 0: the prototypes.
        judged: how many shots were held out.
        before, after: the prototypes and this head on the held-out shots; None if there were none.
    """

    head: LinearHead
    chosen: int
    judged: int
    before: HeldOutScore | None
    after: HeldOutScore | None


@dataclass(frozen=True)
class AdaptationConfig:
    """The settings of an adaptation: those asked for, and the bundle's for the rest.

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
                return fit._replace(head=head)
            return fit._replace(chosen=0, after=fit.before)

    def _choose(self, embeddings: Array, labels: Integers, prototypes: Array) -> tuple[LinearHead, Fit]:
        """Choose the best head; return it, and a fit with the prototypes' head and the scores of both."""
        held = folds(labels)
        fit = Fit(linear.linear_from_prototypes(prototypes), len(self.learning_rates) * self.trusted, 0, None, None)
        scale = 1.0
        if held:
            candidates = list(self._candidates(embeddings, labels, len(prototypes), held))
            before = candidates[0][0]
            worth = [index for index, (judged, _) in enumerate(candidates) if judged.accuracy >= before.accuracy]
            chosen = min(worth, key=lambda index: candidates[index][0].loss)  # the first of equals
            after, scale = candidates[chosen]
            fit = fit._replace(chosen=chosen, judged=sum(map(len, held)), before=before, after=after)
        if not fit.chosen:
            return fit.head, fit
        weights, bias = next(islice(self._heads(embeddings, labels, prototypes), fit.chosen - 1, None))
        return LinearHead(np.float32(scale) * weights, np.float32(scale) * bias), fit

    def _heads(self, embeddings: Array, labels: Integers, prototypes: Array) -> Iterator[LinearHead]:
        if self.solver == "gradient":
            return (head for head, _ in linear.descent(embeddings, labels, prototypes, self.learning_rates))
        return CLOSED_FORMS[self.solver](embeddings, labels, prototypes)

    def _candidates(
        self, embeddings: Array, labels: Integers, count: int, held: Sequence[Integers]
    ) -> Iterator[tuple[HeldOutScore, float]]:
        """Score the prototypes, then each of the solver's heads: its score on held-out shots, and the factor on its logits.

        Gradient steps end when the loss has had no new minimum for as many steps as it took to the last, and `PATIENCE`.
        """
        truth = labels[np.concatenate(held)]
        starts, paths = [], []
        for fold in held:
            kept = np.delete(np.arange(len(labels)), fold)
            prototypes = class_means(embeddings[kept], labels[kept], count)
            starts.append(linear.linear_from_prototypes(prototypes))
            paths.append(self._heads(embeddings[kept], labels[kept], prototypes))
        best, best_at = HeldOutScore.of(held_out_logits(embeddings, held, starts), truth), 0
        yield best, 1.0
        for index, made in enumerate(zip(*paths, strict=False), start=1):
            logits = held_out_logits(embeddings, held, made)
            scale = 1.0 if self.learning_rates else temperature(logits, truth)
            judged = HeldOutScore.of(np.float32(scale) * logits, truth)
            if not np.isfinite(judged.loss):
                return
            yield judged, scale
            if judged.loss < best.loss:
                best, best_at = judged, index
            elif self.learning_rates and index >= 2 * best_at + PATIENCE:
                return
