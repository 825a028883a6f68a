"""Types that several rooms share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
"""Embeddings, prototypes, weights, logits: what a device computes in."""

Array64 = NDArray[np.float64]
"""Values that are judged or solved in double precision."""

Integers = NDArray[np.int64]
"""Counts, and indices of labels, classes and examples."""
