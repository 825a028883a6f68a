"""Meta-training, on a workstation: TensorFlow on a GPU or CPU. Keras habits: compile, fit, evaluate."""

from edge_meta.errors import BackendError

try:
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
except ImportError as error:
    raise BackendError(
        f"Training needs {error.name}, which is not installed.", 'Run: pip install "edge-meta[train]"'
    ) from None

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training.encoders import ENCODERS, conv4
from edge_meta.training.keras_trainer import Trainer
from edge_meta.training.methods.adapting import AdaptingMethod
from edge_meta.training.methods.anil import ANIL
from edge_meta.training.methods.base import Method
from edge_meta.training.methods.distill import Distill
from edge_meta.training.methods.episodic import EpisodicMethod
from edge_meta.training.methods.maml import MAML
from edge_meta.training.methods.nca import NCA
from edge_meta.training.methods.protonet import ProtoNet
from edge_meta.training.methods.reptile import Reptile
from edge_meta.training.methods.supervised import Supervised

__all__ = [
    "ANIL",
    "ENCODERS",
    "MAML",
    "NCA",
    "AdaptingMethod",
    "Distill",
    "EpisodeSampler",
    "EpisodicMethod",
    "Method",
    "ProtoNet",
    "Reptile",
    "Supervised",
    "Trainer",
    "conv4",
]
