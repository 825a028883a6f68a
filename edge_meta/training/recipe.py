"""From a dataset's name to a run folder with an encoder in it: what `edge-meta train` and the demo do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from edge_meta.datasets import load_dataset
from edge_meta.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training import ANIL, ENCODERS, MAML, NCA, AdaptingMethod, Method, ProtoNet, Reptile, Supervised, devices
from edge_meta.training.encoders import BFLOAT16, in_precision
from edge_meta.training.loop import Progress, require_step
from edge_meta.training.run import RunFolder

# Apart from the seeds that people choose for training.
VALIDATION_SEED = 1_000_003


@dataclass(frozen=True)
class Recipe:
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


def _gradient_based(recipe: Recipe) -> dict[str, Any]:
    return {"steps": recipe.inner_steps, "learning_rate": recipe.inner_learning_rate}


def _maml(recipe: Recipe) -> dict[str, Any]:
    return {**_gradient_based(recipe), "transductive": recipe.transductive}


PRECISIONS = ("float32", "bfloat16")
TRANSDUCTIVE = ("maml", "fomaml", "protomaml", "reptile")

# Each takes the encoder, its input, the recipe, and the number of classes that are trained on.
METHODS: dict[str, Callable[[keras.Model, ImageInput, Recipe, int], Method]] = {
    "protonet": lambda encoder, image, recipe, classes: ProtoNet(encoder, image),
    "nca": lambda encoder, image, recipe, classes: NCA(encoder, image),
    "maml": lambda encoder, image, recipe, classes: MAML(encoder, image, recipe.way, **_maml(recipe)),
    "fomaml": lambda encoder, image, recipe, classes: MAML(encoder, image, recipe.way, first_order=True, **_maml(recipe)),
    "protomaml": lambda encoder, image, recipe, classes: MAML(encoder, image, None, learn_rates=True, **_maml(recipe)),
    "anil": lambda encoder, image, recipe, classes: ANIL(encoder, image, recipe.way, **_gradient_based(recipe)),
    "protoanil": lambda encoder, image, recipe, classes: ANIL(
        encoder, image, None, learn_rates=True, **_gradient_based(recipe)
    ),
    "reptile": lambda encoder, image, recipe, classes: Reptile(encoder, image, recipe.way, **_maml(recipe)),
    "supervised": lambda encoder, image, recipe, classes: Supervised(encoder, image, classes),
}


def train(
    recipe: Recipe,
    output: str | Path,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunFolder:
    """Train as the recipe says, into the folder `output`; with `resume`, go on with the run that is there.

    Op determinism is on for the whole process: the same recipe on the same machine gives the same weights, which is not
    promised with XLA. It trains on what `devices.strategy` finds; of several hosts, which share the folder, only the chief
    writes to it.

    Raises:
        DatasetError: the dataset is missing, or too small for the episodes asked for.
        TrainingError: the folder holds a run and `resume` is off, or another recipe's run and it is on; or another worker is
            gone.
    """
    if recipe.episodes < 1 or not (math.isfinite(recipe.learning_rate) and recipe.learning_rate > 0):
        raise TrainingError("Episodes and learning rate must be above zero.", "Use for example 3500 and 0.003.")
    if recipe.inner_steps < 1 or recipe.tasks < 1:
        raise TrainingError("Inner steps and tasks must be at least 1.", "Use for example 5 and 4.")
    if not (math.isfinite(recipe.inner_learning_rate) and recipe.inner_learning_rate > 0):
        raise TrainingError("The inner loop's learning rate must be above zero.", "Use for example 0.1.")
    if recipe.transductive and recipe.method not in TRANSDUCTIVE:
        raise TrainingError(
            f"{recipe.method} does not judge queries by their own batch's statistics.",
            f"Leave --transductive out, or use {', '.join(TRANSDUCTIVE)}.",
        )
    if not 0 <= recipe.whole_groups <= 1:
        raise TrainingError(f"A share of {recipe.whole_groups} is not possible.", "Use a number from 0 to 1.")
    if not 0 <= recipe.seed < 2**32:
        raise TrainingError(f"A seed of {recipe.seed} is not possible.", "Use a number from 0 to 2³² − 1.")
    for name, choices in ((recipe.method, METHODS), (recipe.encoder, ENCODERS), (recipe.precision, PRECISIONS)):
        if name not in choices:
            raise TrainingError(f"There is no {name!r}.", f"Use one of {', '.join(choices)}.")
    if recipe.image_size < 16:
        raise TrainingError(f"Images of {recipe.image_size} pixels are too small.", "Use an image size of 16 or more.")
    strategy = devices.strategy()
    require_step(strategy, recipe.episodes, recipe.tasks, recipe.xla)
    if not recipe.xla:  # XLA has no deterministic gradient of max pooling
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(recipe.seed)
    image_input = recipe.input()
    training = load_dataset(recipe.dataset, "train", image_input)
    validation = load_dataset(recipe.dataset, "val", image_input)
    data = {split.split: {"classes": len(split.class_names), "examples": len(split.images), "sha256": split.digest}
            for split in (training, validation)}  # fmt: skip
    if recipe.rotations or (recipe.rotations is None and recipe.dataset == "omniglot"):
        training = training.with_rotations()
    if recipe.reflections:
        training = training.with_reflections()
    sampler = EpisodeSampler(training, recipe.way, recipe.shot, recipe.query, recipe.seed, whole_groups=recipe.whole_groups)

    with devices.lost_workers(strategy), strategy.scope():
        encoder = ENCODERS[recipe.encoder](image_input.shape)
        if recipe.precision == "bfloat16":
            encoder = in_precision(encoder, BFLOAT16)
        if recipe.start is not None and not (resume and RunFolder(output).begun):
            _start_from(RunFolder(recipe.start), encoder)
        learner = METHODS[recipe.method](encoder, image_input, recipe, len(training.class_names))
        steps = recipe.episodes // recipe.tasks
        learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)))
    way, shot, query = validation.protocol(recipe.shot)
    if isinstance(learner, AdaptingMethod) and learner.way:
        way = learner.way
    judge = EpisodeSampler(validation, way, shot, query, VALIDATION_SEED)

    run: RunFolder | None = RunFolder(output)
    if resume:
        # What the run was not asked, because its version did not know it, was at its default.
        kept, data_kept = asdict(Recipe()) | run.facts()["asked"], run.facts()["made"]["data"]
        differing = sorted(key for key in asdict(recipe) if kept[key] != asdict(recipe)[key])
        if differing:
            raise TrainingError(
                f"{run.path} was started with another {', '.join(differing)}.",
                "Resume it with what it was started with, or start anew with another --output.",
            )
        if data_kept != data:
            raise TrainingError(
                f"{recipe.dataset} is not what it was when {run.path} was started.", "Start anew with another --output."
            )
    elif devices.is_chief(strategy):
        norm = "frozen batch-norm statistics"
        if isinstance(learner, MAML):
            norm = f"batch-norm statistics of {learner.batch_norm}"
        made = {
            "input": image_input.to_manifest(),
            "data": data,
            "training_classes": len(training.class_names),
            "parameters": encoder.count_params(),
            "dim": encoder.output_shape[-1],
            "batch_norm": learner.batch_norm,
            "validation": f"{judge.way}-way {judge.shot}-shot, {judge.query} queries, {norm}",
        }
        RunFolder.create(output, asdict(recipe), made)
    else:
        run = None
    with devices.lost_workers(strategy):
        learner.fit(sampler, recipe.episodes, judge, run, on_progress, recipe.augment, recipe.tasks, recipe.xla)
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
