"""The registries hold the names that the command line offers, and make each method with its own settings."""

from __future__ import annotations

import pytest
from support.training import one_block

from edge_meta import choices
from edge_meta.training import ANIL, MAML, NCA, AdaptingMethod, ProtoNet, Reptile, Supervised
from edge_meta.training.config import TrainingConfig
from edge_meta.training.encoders import ENCODERS
from edge_meta.training.registry import METHODS

KINDS = {
    "protonet": ProtoNet, "nca": NCA, "maml": MAML, "fomaml": MAML, "protomaml": MAML, "anil": ANIL, "protoanil": ANIL,
    "reptile": Reptile, "supervised": Supervised,
}  # fmt: skip


def test_every_method_offered_is_registered() -> None:
    assert tuple(METHODS) == choices.METHODS
    assert set(METHODS) == {*KINDS, "distill"}  # see test_distill


def test_every_encoder_offered_is_registered() -> None:
    assert tuple(ENCODERS) == choices.ENCODERS


def test_transductive_methods_are_methods() -> None:
    assert set(choices.TRANSDUCTIVE) <= set(choices.METHODS)


@pytest.mark.parametrize("name", KINDS)
def test_a_method_is_made_with_its_own_settings(name: str) -> None:
    config = TrainingConfig(method=name, image_size=16, way=3, inner_steps=2, inner_learning_rate=0.03)
    method = METHODS[name](one_block(), config, 9)
    assert type(method) is KINDS[name]
    assert method.input_spec == config.input
    if isinstance(method, AdaptingMethod):
        assert method.way == (None if name.startswith("proto") else 3)
        assert method.steps == 2
        assert method.rates.at(1)[0].numpy() == pytest.approx(0.03)
        assert bool(method.rates.trainable_variables) is name.startswith("proto")
    if isinstance(method, MAML):
        assert method.first_order is (name in ("fomaml", "reptile"))
        assert not method.transductive
    if isinstance(method, Supervised):
        assert method.head[0].shape[1] == 9


@pytest.mark.parametrize("name", choices.TRANSDUCTIVE)
def test_a_transductive_method_is_made_so(name: str) -> None:
    method = METHODS[name](one_block(), TrainingConfig(method=name, image_size=16, way=3, transductive=True), 9)
    assert method.transductive
