"""The names that the command line offers are those of the registries."""

from __future__ import annotations

from edge_meta import choices
from edge_meta.training.encoders import ENCODERS
from edge_meta.training.registry import METHODS


def test_every_method_offered_is_registered() -> None:
    assert tuple(METHODS) == choices.METHODS


def test_every_encoder_offered_is_registered() -> None:
    assert tuple(ENCODERS) == choices.ENCODERS


def test_transductive_methods_are_methods() -> None:
    assert set(choices.TRANSDUCTIVE) <= set(choices.METHODS)
