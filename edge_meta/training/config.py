"""The configuration of a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_meta.choices import ENCODERS, METHODS, MOTION, OF_IMAGES, PRECISIONS, TRAINING_SPLITS, TRANSDUCTIVE, WITH_DIM
from edge_meta.errors import TrainingError
from edge_meta.inputs import AudioInput, ImageInput, InputSpec, SeriesInput

SMALLEST_IMAGE = 16  # pixels; four halvings leave one
RATE, SAMPLES = 16000, 16000  # of recordings: a second
STEPS = 128  # that series are resampled to


@dataclass(frozen=True)
class TrainingConfig:
    """All that a run is asked to do; its run.json keeps it. The options of `edge-meta train` say what each setting is.

    The defaults train on Omniglot as Snell et al. 2017 do, with more ways than at test time and rotations as classes, but
    with a cosine schedule in place of halving. `rotations` None means: for Omniglot only.

    Raises:
        TrainingError: a setting is not one of its choices, or out of its range.
    """

    dataset: str = "omniglot"
    split: str = "train"
    method: str = "protonet"
    encoder: str = "conv4"
    dim: int | None = None
    image_size: int = 28
    rgb: bool = False
    channels: Sequence[str] = ()
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
    teachers: Sequence[str] = ()
    teacher_size: int = 192
    precision: str = "float32"
    xla: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        _check_choice(self.method, METHODS)
        _check_choice(self.encoder, ENCODERS)
        _check_choice(self.precision, PRECISIONS)
        _check_choice(self.split, TRAINING_SPLITS)
        if self.dim is not None and (self.encoder not in WITH_DIM or self.dim < 1):
            raise TrainingError(
                f"{self.encoder} does not give embeddings of {self.dim} values.",
                f"Leave --dim out, or use it above zero with --encoder {', '.join(WITH_DIM)}.",
            )
        if self.transductive and self.method not in TRANSDUCTIVE:
            raise TrainingError(
                f"{self.method} does not judge queries by their own batch's statistics.",
                f"Leave --transductive out, or use {', '.join(TRANSDUCTIVE)}.",
            )

        object.__setattr__(self, "teachers", list(self.teachers))  # as run.json gives it back
        object.__setattr__(self, "channels", list(self.channels))
        self._check_sense()
        if (self.method == "distill") != bool(self.teachers):
            raise TrainingError(
                "Only distill learns from teachers, and it takes at least one.",
                "Use --method distill together with --teacher PATH.",
            )

    def _check_numbers(self) -> None:
        if self.episodes < 1 or not _positive(self.learning_rate):
            raise TrainingError("Episodes and learning rate must be above zero.", "Use for example 3500 and 0.003.")
        if self.inner_steps < 1 or self.tasks < 1:
            raise TrainingError("Inner steps and tasks must be at least 1.", "Use for example 5 and 4.")
        if not _positive(self.inner_learning_rate):
            raise TrainingError("The inner loop's learning rate must be above zero.", "Use for example 0.1.")
        if not 0 <= self.whole_groups <= 1:
            raise TrainingError(f"A share of {self.whole_groups} is not possible.", "Use a number from 0 to 1.")
        if not 0 <= self.seed < 2**32:
            raise TrainingError(f"A seed of {self.seed} is not possible.", "Use a number from 0 to 2³² − 1.")
        if self.image_size < SMALLEST_IMAGE:
            raise TrainingError(
                f"Images of {self.image_size} pixels are too small.", f"Use an image size of {SMALLEST_IMAGE} or more."
            )

    def _check_sense(self) -> None:
        if self.channels and self.encoder != "tcn":
            raise TrainingError(
                f"{self.encoder} does not take series of channels.", "Leave --channels out, or use --encoder tcn."
            )
        if len(set(self.channels)) != len(self.channels) or not all(self.channels):
            raise TrainingError(f"{','.join(self.channels)} names a channel twice, or not at all.", "Name each once.")
        if self.encoder not in OF_IMAGES and (self.rotations or self.reflections or self.method == "distill"):
            raise TrainingError(
                f"{self.encoder} does not take images.", "Leave out --rotations, --reflections and --method distill."
            )

    @property
    def input(self) -> InputSpec:
        """The encoder's input."""
        if self.encoder == "dscnn":
            return AudioInput(SAMPLES, RATE)
        if self.encoder == "tcn":
            channels = tuple(self.channels) or MOTION
            return SeriesInput((STEPS, len(channels)), "float32", channels)
        return ImageInput.for_shape((self.image_size, self.image_size, 3 if self.rgb else 1))

    @property
    def encoder_options(self) -> dict[str, Any]:
        """The arguments of the encoder beside its input's shape."""
        of_dim = {} if self.dim is None else {"dim": self.dim}
        return of_dim | ({"motion": self.channels in ([], list(MOTION))} if self.encoder == "tcn" else {})

    @property
    def with_rotations(self) -> bool:
        """Whether rotations of a class are classes of their own."""
        return self.dataset == "omniglot" if self.rotations is None else self.rotations


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _check_choice(name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise TrainingError(f"There is no {name!r}.", f"Use one of {', '.join(choices)}.")
