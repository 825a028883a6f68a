"""Embedding examples as a person gives them: paths and arrays, as a bundle's input says. Threads may share it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from edge_meta.blas import Limited
from edge_meta.errors import InputError
from edge_meta.runtime.colour_check import ColourCheck
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.manifest import Manifest
from edge_meta.types import Array


class ExampleEmbedder:
    """An encoder with the input that its manifest says.

    Args:
        lock: held while the encoder runs.
        limited: holds NumPy to its threads.
    """

    def __init__(self, manifest: Manifest, encoder: Encoder, lock: threading.RLock, limited: Limited) -> None:
        self._spec, self._encoder, self._lock, self._limited = manifest.input_spec, encoder, lock, limited
        self._colour_check = ColourCheck(manifest)

    def embed(self, example: Any) -> Array:
        """Embed one example as float32 (D,).

        Raises:
            InputError: it is not what the encoder takes.
            BackendError: see `Encoder.embed`.
        """
        with self._limited:
            read = self._spec.read(example)
            self._colour_check(example)
        with self._lock:
            return self._encoder.embed(self._spec.normalize(read)[None])

    def embed_several(self, examples: Any, of: str) -> Array:
        """Embed examples as float32 (n, D), n at least 1.

        Args:
            of: what they are examples of, for errors.

        Raises:
            InputError: there are none, or see `embed`.
            BackendError: see `Encoder.embed`.
        """
        embeddings = [self.embed(example) for example in self._spec.several(examples)]
        if not embeddings:
            raise InputError(f"No {self._spec.noun}s were given for {of}.", "Give at least one.")
        return np.stack(embeddings)
