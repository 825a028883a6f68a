"""The history of a run, its checkpoints, and the encoder that is the best so far."""

from __future__ import annotations

from typing import Any

from edge_meta.training.devices import is_chief
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.learner import Learner
from edge_meta.training.run import RunFolder


class Checkpoints:
    """Restores a run from its folder, and writes to it after each interval; of several hosts, only the chief writes.

    Args:
        learner: a compiled method, whose optimizer is built.
        run: the folder; None keeps the history alone.

    Raises:
        TrainingError: the folder's checkpoint is damaged or of another encoder, or the folder cannot be written.
    """

    def __init__(self, learner: Learner, run: RunFolder | None) -> None:
        self._learner = learner
        self._variables = [*learner.variables, *learner.optimizer.variables]
        self.history: list[dict[str, Any]] = run.restore(self._variables) if run else []
        self._best = max((row["val_accuracy"] for row in self.history if "val_accuracy" in row), default=-1.0)
        self._folder = run if is_chief(learner.strategy) else None
        if self._folder and self.history:
            self._folder.write_curve(self.history)

    @property
    def episode(self) -> int:
        """Episodes done."""
        return int(self.history[-1]["episode"]) if self.history else 0

    def add(self, row: dict[str, Any], complete: bool) -> None:
        """Append a row to the history and save a checkpoint.

        Args:
            complete: the row ends an interval, and is not that of a run that was stopped midway. Then the encoder is saved
                where its "val_accuracy" is as high as any so far, or the row has none.
        """
        self.history.append(row)
        if self._folder:
            if complete and row.get("val_accuracy", 2.0) >= self._best:
                self._folder.save_encoder(for_device(self._learner.encoder), self._learner.learning_rates())
            self._folder.checkpoint(self._variables, self.history)
        self._best = max(self._best, row.get("val_accuracy", -1.0))
