"""From a dataset's name to a run folder with an encoder in it: what `edge-meta train` and the demo do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from edge_meta.choices import PRECISIONS, TRANSDUCTIVE
from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training import ANIL, ENCODERS, MAML, NCA, AdaptingMethod, Method, ProtoNet, Reptile, Supervised, devices
from edge_meta.training.encoders import BFLOAT16, in_precision
from edge_meta.training.run import RunFolder
from edge_meta.training.trainer import Progress, require_step

# Apart from the seeds that people choose for training.
VALIDATION_SEED = 1_000_003


@dataclass(frozen=True)
class TrainingConfig:
    """All that a run is asked to do; kept in its run.json.

    The defaults train on Omniglot as Snell et al. 2017 do, with more ways than at test time and rotations as classes, but
    for a cosine schedule in place of halving. `rotations` None means: on for Omniglot only.
    """

    dataset: str = "omniglot"
    method: str = "protonet"
    encoder: str = "conv4"
    image_size: int = 28
    rgb: bool = False
    way: int = 100
    shot: int = 1
    query: int = 2
    episodes: int = 3500
    seed: int = 0
    learning_rate: float = 3e-3
    rotations: bool | None = None
    reflections: bool = False
    whole_groups: float = 0.0
    augment: bool = False
    tasks: int = 1
    inner_steps: int = 5
    inner_learning_rate: float = 0.1
    transductive: bool = False
    start: str | None = None
    precision: str = "float32"
    xla: bool = False

    def input(self) -> ImageInput:
        return ImageInput.for_shape((self.image_size, self.image_size, 3 if self.rgb else 1))


def _gradient_based(config: TrainingConfig) -> dict[str, Any]:
    return {"steps": config.inner_steps, "learning_rate": config.inner_learning_rate}


def _maml(config: TrainingConfig) -> dict[str, Any]:
    return {**_gradient_based(config), "transductive": config.transductive}


# Each takes the encoder, its input, the config, and the number of classes that are trained on.
METHODS: dict[str, Callable[[keras.Model, ImageInput, TrainingConfig, int], Method]] = {
    "protonet": lambda encoder, image, config, classes: ProtoNet(encoder, image),
    "nca": lambda encoder, image, config, classes: NCA(encoder, image),
    "maml": lambda encoder, image, config, classes: MAML(encoder, image, config.way, **_maml(config)),
    "fomaml": lambda encoder, image, config, classes: MAML(encoder, image, config.way, first_order=True, **_maml(config)),
    "protomaml": lambda encoder, image, config, classes: MAML(encoder, image, None, learn_rates=True, **_maml(config)),
    "anil": lambda encoder, image, config, classes: ANIL(encoder, image, config.way, **_gradient_based(config)),
    "protoanil": lambda encoder, image, config, classes: ANIL(
        encoder, image, None, learn_rates=True, **_gradient_based(config)
    ),
    "reptile": lambda encoder, image, config, classes: Reptile(encoder, image, config.way, **_maml(config)),
    "supervised": lambda encoder, image, config, classes: Supervised(encoder, image, classes),
}


def train(
    config: TrainingConfig,
    output: str | Path,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunFolder:
    """Train as the config says, into the folder `output`; with `resume`, go on with the run that is there.

    Op determinism is on for the whole process: the same config on the same machine gives the same weights, which is not
    promised with XLA. It trains on what `devices.strategy` finds; of several hosts, which share the folder, only the chief
    writes to it.

    Raises:
        DatasetError: the dataset is missing, or too small for the episodes asked for.
        TrainingError: the folder holds a run and `resume` is off, or another config's run and it is on; or another worker is
            gone.
    """
    if config.episodes < 1 or not (math.isfinite(config.learning_rate) and config.learning_rate > 0):
        raise TrainingError("Episodes and learning rate must be above zero.", "Use for example 3500 and 0.003.")
    if config.inner_steps < 1 or config.tasks < 1:
        raise TrainingError("Inner steps and tasks must be at least 1.", "Use for example 5 and 4.")
    if not (math.isfinite(config.inner_learning_rate) and config.inner_learning_rate > 0):
        raise TrainingError("The inner loop's learning rate must be above zero.", "Use for example 0.1.")
    if config.transductive and config.method not in TRANSDUCTIVE:
        raise TrainingError(
            f"{config.method} does not judge queries by their own batch's statistics.",
            f"Leave --transductive out, or use {', '.join(TRANSDUCTIVE)}.",
        )
    if not 0 <= config.whole_groups <= 1:
        raise TrainingError(f"A share of {config.whole_groups} is not possible.", "Use a number from 0 to 1.")
    if not 0 <= config.seed < 2**32:
        raise TrainingError(f"A seed of {config.seed} is not possible.", "Use a number from 0 to 2³² − 1.")
    for name, choices in ((config.method, METHODS), (config.encoder, ENCODERS), (config.precision, PRECISIONS)):
        if name not in choices:
            raise TrainingError(f"There is no {name!r}.", f"Use one of {', '.join(choices)}.")
    if config.image_size < 16:
        raise TrainingError(f"Images of {config.image_size} pixels are too small.", "Use an image size of 16 or more.")
    strategy = devices.strategy()
    require_step(strategy, config.episodes, config.tasks, config.xla)
    if not config.xla:  # XLA has no deterministic gradient of max pooling
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    input_spec = config.input()
    training = load_dataset(config.dataset, "train", input_spec)
    validation = load_dataset(config.dataset, "val", input_spec)
    data = {split.split: {"classes": len(split.class_names), "examples": len(split.examples), "sha256": split.digest}
            for split in (training, validation)}  # fmt: skip
    if config.rotations or (config.rotations is None and config.dataset == "omniglot"):
        training = training.with_rotations()
    if config.reflections:
        training = training.with_reflections()
    sampler = EpisodeSampler(training, config.way, config.shot, config.query, config.seed, whole_groups=config.whole_groups)

    with devices.lost_workers(strategy), strategy.scope():
        encoder = ENCODERS[config.encoder](input_spec.shape)
        if config.precision == "bfloat16":
            encoder = in_precision(encoder, BFLOAT16)
        if config.start is not None and not (resume and RunFolder(output).begun):
            _start_from(RunFolder(config.start), encoder)
        learner = METHODS[config.method](encoder, input_spec, config, len(training.class_names))
        steps = config.episodes // config.tasks
        learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)))
    way, shot, query = validation.protocol(config.shot)
    if isinstance(learner, AdaptingMethod) and learner.way:
        way = learner.way
    judge = EpisodeSampler(validation, way, shot, query, VALIDATION_SEED)

    run: RunFolder | None = RunFolder(output)
    if resume:
        # What the run was not asked, because its version did not know it, was at its default.
        kept, data_kept = asdict(TrainingConfig()) | run.facts()["asked"], run.facts()["made"]["data"]
        differing = sorted(key for key in asdict(config) if kept[key] != asdict(config)[key])
        if differing:
            raise TrainingError(
                f"{run.path} was started with another {', '.join(differing)}.",
                "Resume it with what it was started with, or start anew with another --output.",
            )
        if data_kept != data:
            raise TrainingError(
                f"{config.dataset} is not what it was when {run.path} was started.", "Start anew with another --output."
            )
    elif devices.is_chief(strategy):
        norm = "frozen batch-norm statistics"
        if isinstance(learner, MAML):
            norm = f"batch-norm statistics of {learner.batch_norm}"
        made = {
            "input": input_spec.to_manifest(),
            "data": data,
            "training_classes": len(training.class_names),
            "parameters": encoder.count_params(),
            "dim": encoder.output_shape[-1],
            "batch_norm": learner.batch_norm,
            "validation": f"{judge.way}-way {judge.shot}-shot, {judge.query} queries, {norm}",
        }
        RunFolder.create(output, asdict(config), made)
    else:
        run = None
    with devices.lost_workers(strategy):
        learner.fit(sampler, config.episodes, judge, run, on_progress, config.augment, config.tasks, config.xla)
    return RunFolder(output)


def _start_from(run: RunFolder, encoder: keras.Model) -> None:
    """Give an encoder the weights that another run ended with."""
    run.facts()
    try:
        encoder.set_weights(run.load_encoder().get_weights())
    except ValueError:
        raise TrainingError(
            f"The encoder of {run.path} has other layers than the one to be trained.",
            "Start from a run of the same encoder, image size and colours.",
        ) from None
