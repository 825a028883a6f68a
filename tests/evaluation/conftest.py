"""Fixtures of the tests of evaluation."""

from __future__ import annotations

import pytest
from support.workstation import synthetic

from edge_meta.datasets.episodes import EpisodeSampler


@pytest.fixture
def sampler() -> EpisodeSampler:
    """Of 12 classes of 10 examples each."""
    return EpisodeSampler(synthetic(12, 10), way=5, shot=3, query=4, seed=3)
