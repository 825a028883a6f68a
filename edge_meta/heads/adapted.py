"""Adapt the head of a store: fit the last layer to its shots, and leave the head that does best on held-out ones."""

from __future__ import annotations

from typing import NamedTuple

from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig, Fit
from edge_meta.store.head_change import HeadChange
from edge_meta.types import Array, Integers


class Adapted(NamedTuple):
    """The result of an adaptation.

    Attributes:
        steps: gradient steps taken, of those allowed; 0 for the other solvers.
        shots, classes: how many the head was fitted to.
        loss_before, loss_after: mean cross-entropy over the enrolled shots, of the prototypes and of the new head.
        solver: `lda`, `gradient` or `ridge`.
        changed: whether the head differs from the prototypes'. False when no head did better than they; then an earlier
            adaptation's head is gone, too.
        steps_allowed: gradient steps that could have been taken.
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
    def of(cls, config: AdaptationConfig, fit: Fit, embeddings: Array, labels: Integers, prototypes: Array) -> Adapted:
        """The result of a fit to shots (M, D) with labels (M,) and prototypes (N, D)."""
        loss_before, loss_after = (
            float(linear.cross_entropy(head.logits(embeddings), labels)[0].mean())
            for head in (linear.linear_from_prototypes(prototypes), fit.head)
        )
        return cls(
            steps=fit.chosen if config.solver == "gradient" else 0,
            shots=len(embeddings),
            classes=len(prototypes),
            loss_before=loss_before,
            loss_after=loss_after,
            solver=config.solver,
            changed=fit.chosen > 0,
            steps_allowed=len(config.learning_rates),
            held_out=fit.judged,
            held_out_loss_before=fit.before and fit.before.loss,
            held_out_loss_after=fit.after and fit.after.loss,
            held_out_accuracy_before=fit.before and fit.before.accuracy,
            held_out_accuracy_after=fit.after and fit.after.accuracy,
        )


def adapt_head(change: HeadChange, config: AdaptationConfig) -> Adapted:
    """Fit a head to all shots of a store and set it, or go back to the prototypes where they do best.

    The head depends on the enrolled shots alone, not on an earlier head, so that learning in parts gives the head of
    learning at once.
    """
    prototypes = change.snapshot.prototypes
    fit = config.fit(change.embeddings, change.labels, prototypes)
    if fit.chosen:
        change.replace_head(*fit.head)
    else:
        change.drop_head()
    return Adapted.of(config, fit, change.embeddings, change.labels, prototypes)
