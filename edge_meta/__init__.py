"""Teach a phone or a board new classes from a handful of examples, on the device.

    from edge_meta import Classifier

The device's names need NumPy and an interpreter, those of `evaluate` and `benchmark` too. `train`, `TrainingConfig` and
`export_bundle` need TensorFlow, and raise a `BackendError` that says what to install where it is absent.

Each name is imported from its room when it is first used (PEP 562). This package lies below all rooms, so importing them
here would load every room for a program that needs one module, and TensorFlow on a device. Only `edge_meta` may import
upwards like this, and only by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

__all__ = [
    "BenchmarkConfig",
    "Bundle",
    "Classifier",
    "EdgeMetaError",
    "EpisodeProtocol",
    "ExportOptions",
    "Prediction",
    "Result",
    "TrainingConfig",
    "benchmark",
    "evaluate",
    "export_bundle",
    "load_dataset",
    "train",
]

if TYPE_CHECKING:
    from converters import ExportOptions, export_bundle
    from edge_meta.benchmarking.runner import BenchmarkConfig, benchmark
    from edge_meta.datasets import load_dataset
    from edge_meta.errors import EdgeMetaError
    from edge_meta.evaluation.evaluator import evaluate
    from edge_meta.evaluation.protocol import EpisodeProtocol
    from edge_meta.runtime.bundle import Bundle
    from edge_meta.runtime.classifier import Classifier
    from edge_meta.runtime.results import Prediction, Result
    from edge_meta.training.config import TrainingConfig
    from edge_meta.training.pipeline import train
else:  # so that type checkers report a name that is not exported
    _MODULES = {
        "BenchmarkConfig": "edge_meta.benchmarking.runner",
        "EpisodeProtocol": "edge_meta.evaluation.protocol",
        "ExportOptions": "converters",
        "Bundle": "edge_meta.runtime.bundle",
        "Classifier": "edge_meta.runtime.classifier",
        "EdgeMetaError": "edge_meta.errors",
        "Prediction": "edge_meta.runtime.results",
        "Result": "edge_meta.runtime.results",
        "TrainingConfig": "edge_meta.training.config",
        "benchmark": "edge_meta.benchmarking.runner",
        "evaluate": "edge_meta.evaluation.evaluator",
        "export_bundle": "converters",
        "load_dataset": "edge_meta.datasets",
        "train": "edge_meta.training.pipeline",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
