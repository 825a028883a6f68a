"""The methods by their names in a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from edge_meta.training.config import TrainingConfig
from edge_meta.training.methods.anil import ANIL
from edge_meta.training.methods.base import Method
from edge_meta.training.methods.distill import Distill
from edge_meta.training.methods.maml import MAML
from edge_meta.training.methods.nca import NCA
from edge_meta.training.methods.protonet import ProtoNet
from edge_meta.training.methods.reptile import Reptile
from edge_meta.training.methods.supervised import Supervised
from edge_meta.training.teachers import load_teacher


def _inner_loop(config: TrainingConfig) -> dict[str, Any]:
    return {"steps": config.inner_steps, "learning_rate": config.inner_learning_rate}


def _all_layers(config: TrainingConfig) -> dict[str, Any]:
    return {**_inner_loop(config), "transductive": config.transductive}


# Each takes the encoder, its configuration, and the number of training classes.
METHODS: dict[str, Callable[[keras.Model, TrainingConfig, int], Method]] = {
    "protonet": lambda encoder, config, classes: ProtoNet(encoder, config.input),
    "nca": lambda encoder, config, classes: NCA(encoder, config.input),
    "maml": lambda encoder, config, classes: MAML(encoder, config.input, config.way, **_all_layers(config)),
    "fomaml": lambda encoder, config, classes: MAML(
        encoder, config.input, config.way, first_order=True, **_all_layers(config)
    ),
    "protomaml": lambda encoder, config, classes: MAML(
        encoder, config.input, None, learn_rates=True, **_all_layers(config)
    ),
    "anil": lambda encoder, config, classes: ANIL(encoder, config.input, config.way, **_inner_loop(config)),
    "protoanil": lambda encoder, config, classes: ANIL(
        encoder, config.input, None, learn_rates=True, **_inner_loop(config)
    ),
    "reptile": lambda encoder, config, classes: Reptile(encoder, config.input, config.way, **_all_layers(config)),
    "supervised": lambda encoder, config, classes: Supervised(encoder, config.input, classes),
    "distill": lambda encoder, config, classes: Distill(
        encoder, config.input, [load_teacher(path, config.teacher_size) for path in config.teachers]
    ),
}  # fmt: skip
