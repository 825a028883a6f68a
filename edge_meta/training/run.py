"""A run's folder: how it was made, its curve, its checkpoint, and its encoder.

RUN/run.json          what was asked (dataset, method, way, ...), versions, host
RUN/metrics.jsonl     a line for each validation
RUN/checkpoint.npz    weights, optimizer state and the curve so far: all that a resumed run needs
RUN/encoder.keras     the encoder, best on validation classes
RUN/head.json         the learning rates of `adapt`, where the method has learned them
RUN/tensorboard/      the curve for TensorBoard
"""

from __future__ import annotations

import json
import os
import platform
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edge_meta import files
from edge_meta.errors import TrainingError
from edge_meta.inputs import input_from_manifest
from edge_meta.training.front_ends import FRONT_ENDS
from edge_meta.training.unit_length import UnitLength

LAYERS = {layer.__name__: layer for layer in (UnitLength, *FRONT_ENDS)}  # of ours, in encoders that runs keep


class RunFolder:
    """The folder of one training run; every file in it is written whole or not at all."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def encoder(self) -> Path:
        return self.path / "encoder.keras"

    @classmethod
    def create(cls, path: str | Path, asked: dict[str, Any], made: dict[str, Any]) -> RunFolder:
        """Start a run.

        Args:
            asked: what the run was asked to do; a resumed run must be asked the same.
            made: facts that follow from it (data digest, parameter count, input); versions and host are added.

        Raises:
            TrainingError: the folder already holds a run, or cannot be written.
        """
        run = cls(path)
        if (run.path / "run.json").exists():
            raise TrainingError(f"{run.path} already holds a run.", "Go on with it (--resume), or choose another --output.")
        facts = {
            "asked": asked,
            "made": made,
            "command": ["edge-meta", *sys.argv[1:]],
            "versions": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
            },
            "host": {"platform": platform.platform(), "cores": os.cpu_count()},
        }
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            files.write_text(run.path / "run.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise TrainingError(f"{run.path} cannot be written ({error}).", "Choose another --output.") from None
        return run

    def facts(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            TrainingError: the folder holds no run, or a damaged one.
        """
        try:
            facts: dict[str, Any] = json.loads((self.path / "run.json").read_text())
            input_from_manifest(facts["made"]["input"])
            facts["asked"]["dataset"], facts["made"]["data"], facts["made"]["validation"]
            facts["command"], facts["versions"], facts["host"]
        except (FileNotFoundError, NotADirectoryError):
            raise TrainingError(
                f"{self.path} holds no run (run.json is missing).", "Name the --output of an edge-meta train."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{self.path / 'run.json'} is damaged ({error}).", "Train again.") from None
        return facts

    def save_encoder(self, encoder: keras.Model, learning_rates: Sequence[float] | None = None) -> None:
        """Keep an encoder, and the learning rates of `adapt` that were learned with it."""
        with self._writing():
            if learning_rates is not None:
                files.write_text(self.path / "head.json", json.dumps({"learning_rates": list(learning_rates)}) + "\n")
            kept = files.writable(self.encoder)
            with files.temporary_folder(kept) as folder:
                encoder.save(folder / "encoder.keras")
                (folder / "encoder.keras").replace(kept)

    def best(self) -> dict[str, Any] | None:
        """The row of encoder.keras: that with the best validation, the last of equals; None before the first."""
        return max(reversed(self.curve()), key=lambda row: row["val_accuracy"], default=None)

    def curve(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl that have a validation; [] before the first."""
        path = self.path / "metrics.jsonl"
        try:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            return [row for row in rows if "val_accuracy" in row]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"{path} is damaged ({error}).", "Delete it; --resume writes it again.") from None

    def load_encoder(self) -> keras.Model:
        """The encoder that the run kept; see `load_encoder`."""
        return load_encoder(self.encoder)

    def learning_rates(self) -> tuple[float, ...] | None:
        """The learning rates that were learned with the encoder, if any were."""
        path = self.path / "head.json"
        try:
            return tuple(float(rate) for rate in json.loads(path.read_text())["learning_rates"]) if path.exists() else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path} is damaged ({error}).", "Train again.") from None

    def checkpoint(self, variables: Sequence[Any], history: list[dict[str, Any]]) -> None:
        """Save all that a resumed run needs, and the curve so far, for people and for TensorBoard."""
        arrays = {f"v{index}": variable.numpy() for index, variable in enumerate(variables)}
        with self._writing():
            with files.replacing(self.path / "checkpoint.npz") as file:
                np.savez(file, history=np.array(json.dumps(history)), **arrays)
            self.write_curve(history)
            writer = tf.summary.create_file_writer(str(self.path / "tensorboard"))
            with writer.as_default(step=history[-1]["episode"]):
                for name, value in history[-1].items():
                    tf.summary.scalar(name, value)
            writer.close()

    def write_curve(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl, as the checkpoint knows it."""
        with self._writing():
            files.write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in history))

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.path / "checkpoint.npz").exists()

    def restore(self, variables: Sequence[Any]) -> list[dict[str, Any]]:
        """Set the variables to the checkpoint's and return its history; [] when there is no checkpoint yet.

        Raises:
            TrainingError: the checkpoint is damaged, or of another encoder.
        """
        path = self.path / "checkpoint.npz"
        if not self.begun:
            return []
        try:
            with path.open("rb") as opened, np.load(opened) as file:
                history: list[dict[str, Any]] = json.loads(str(file["history"]))
                for index, variable in enumerate(variables):
                    variable.assign(file[f"v{index}"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise TrainingError(f"{path} is damaged ({error}).", "Delete it to start this run again.") from None
        return history

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            raise TrainingError(
                f"{self.path} cannot be written ({error}).",
                "Free some space, then go on with --resume; the checkpoint before is kept.",
            ) from None


def load_encoder(path: Path) -> keras.Model:
    """Read a Keras model.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        return keras.saving.load_model(path, custom_objects=LAYERS, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} is not an encoder that can be read ({reason}).",
            "Train again; or if its code is elsewhere, run model.export('folder') there, and export that folder.",
        ) from None
