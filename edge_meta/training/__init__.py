"""Meta-training, on a workstation: TensorFlow on a GPU or CPU. Keras habits: compile, fit, evaluate."""

from edge_meta.errors import BackendError

try:
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
except ImportError as error:
    raise BackendError(
        f"Training needs {error.name}, which is not installed.", 'Run: pip install "edge-meta[train]"'
    ) from None

from edge_meta.episodes import EpisodeSampler
from edge_meta.training.anil import ANIL
from edge_meta.training.encoders import ENCODERS, conv4
from edge_meta.training.maml import MAML
from edge_meta.training.method import AdaptingMethod, Method
from edge_meta.training.nca import NCA
from edge_meta.training.protonet import ProtoNet
from edge_meta.training.reptile import Reptile
from edge_meta.training.supervised import Supervised

__all__ = [
    "ANIL",
    "ENCODERS",
    "MAML",
    "NCA",
    "AdaptingMethod",
    "EpisodeSampler",
    "Method",
    "ProtoNet",
    "Reptile",
    "Supervised",
    "conv4",
]
