"""Prototypes and scatters of shots in arrays, against float64 loops."""

from __future__ import annotations

import numpy as np
import pytest
from support.device import embeddings

from edge_meta.heads.prototypes import class_means, class_scatters, within_class_variance


def test_class_means_are_those_of_each_labels_shots() -> None:
    shots, labels = embeddings(0, 12), np.array([2, 0, 1, 1, 2, 2, 0, 1, 2, 2, 0, 1])
    wanted = [shots[labels == label].astype(np.float64).mean(axis=0) for label in range(3)]
    np.testing.assert_allclose(class_means(shots, labels, 3), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shot", [1, 4])
def test_class_scatters_add_up_squared_distances(shot: int) -> None:
    support = embeddings(1, 3 * shot).reshape(3, shot, 16)
    prototypes = support.mean(axis=1)
    wanted = [sum(float(((x - c) ** 2).sum()) for x in of_label) for of_label, c in zip(support, prototypes, strict=True)]
    np.testing.assert_allclose(class_scatters(support, prototypes), wanted, rtol=1e-5, atol=1e-9)


def test_within_class_variance_pools_classes_of_any_size() -> None:
    examples, counts = embeddings(2, 10), [5, 1, 4]
    parts = np.split(examples.astype(np.float64), np.cumsum(counts)[:-1])
    wanted = sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts) / (4 + 0 + 3)
    assert within_class_variance(examples, np.repeat([0, 1, 2], counts)) == pytest.approx(wanted)


def test_examples_that_are_alone_have_no_variance() -> None:
    assert within_class_variance(embeddings(3, 4), np.arange(4)) == 0.0
