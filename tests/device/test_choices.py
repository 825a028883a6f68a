"""Data that is held for each choice has an entry for every choice, in the same order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edge_meta.benchmarking.sweep import PACKAGES
from edge_meta.choices import BACKENDS, SOLVERS
from edge_meta.heads.adaptation import CLOSED_FORMS
from edge_meta.runtime.backend_comparison import DISTRIBUTIONS
from edge_meta.runtime.backends import PIP_PACKAGES


@pytest.mark.parametrize("packages", [PIP_PACKAGES, DISTRIBUTIONS, PACKAGES])
def test_every_backend_names_its_package(packages: Mapping[str, str]) -> None:
    assert tuple(packages) == BACKENDS


def test_every_solver_is_gradient_or_a_closed_form() -> None:
    assert {"gradient", *CLOSED_FORMS} == set(SOLVERS)
