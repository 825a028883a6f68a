"""Teach a phone or a board new classes from a handful of examples, on the device.

    from edge_meta import Classifier

This module and `edge_meta.runtime` need NumPy and an interpreter; `edge_meta.training` and `converters` need TensorFlow.
"""

from edge_meta.errors import EdgeMetaError
from edge_meta.runtime.classifier import Classifier, Prediction, Result

__version__ = "0.1.0"

__all__ = ["Classifier", "EdgeMetaError", "Prediction", "Result"]
