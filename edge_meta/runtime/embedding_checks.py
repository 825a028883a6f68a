"""Checks of embeddings that come from outside: from other programs, or from an encoder that was not made here."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_meta.errors import InputError, StoreError
from edge_meta.types import Array

LEAST = 2.0**-16  # of an embedding's largest value; a store's units are 2^-24, so that 8 bits of it are left


def one_embedding(given: Any, dim: int) -> Array:
    """An embedding to classify, as float32 (dim,).

    Raises:
        InputError: it has another shape, or values that are no finite numbers.
    """
    try:
        with np.errstate(over="ignore"):
            embedding: Array = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise InputError("The embedding is not an array of numbers.", f"Give a float32 array ({dim},).") from None
    if embedding.shape != (dim,):
        raise InputError(
            f"An embedding of shape {embedding.shape} was given; the bundle's have {(dim,)}.",
            "Embed the example with this bundle, and give one embedding at a time.",
        )
    if not np.isfinite(embedding).all():
        raise InputError("The embedding has values that are not finite.", "Check where they come from; see numpy.isfinite.")
    return embedding


def require_resolution(*given: Array) -> None:
    """Check that embeddings (n, D) are not so small that a store's units, 2^-24, would round most of them away.

    Raises:
        StoreError: all values of a row that is not zero are below 2^-16 in magnitude.
    """
    for embeddings in given:
        largest = np.abs(embeddings).max(axis=-1, initial=0.0)
        if np.any((largest > 0) & (largest < LEAST)):
            raise StoreError(
                f"An embedding has no value beyond ±{LEAST:.1g}, and a store holds multiples of {2.0**-24:.0e}.",
                "Multiply all embeddings by the same number, such as 1,000,000, or export the encoder with --calibration.",
            )
