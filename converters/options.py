"""Options of an export. Nothing here imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_meta.choices import CHANNEL_ORDERS, INPUT_KINDS, QUANTIZATIONS
from edge_meta.errors import ExportError


@dataclass(frozen=True)
class ModelOptions:
    """Facts that another maker's model does not state; None where it does, or for the default.

    Attributes:
        input_kind: one of `INPUT_KINDS`; by default judged by the input's shape and dtype.
        input_shape: without the batch, for inputs whose size is left open, and for files that keep state.
        output_tensor: name or index of the tensor that is the embedding; by default the only output.
        mean, scale: the model's values are (x − mean) · scale; x is a pixel from 0 to 255, a sample from −1 to 1, or an
            array's value. One number, or one a channel in the model's order.
        channel_order: `rgb`, or `bgr` for models that take blue first.
        sample_rate: of audio, in Hz.
        channels: names of the columns of a sensor's series, (steps, channels). Devices then take series of any length, which
            are resampled, and any of the channels.
        about: of its training, for the model card: data, teachers, licences.
        between: of a chain of files, an expression in x for each file but the first, such as `x/10+2`: the values that it
            takes, of the values x that the one before it gives. By default x, but for pairs that are known.

    Raises:
        ExportError: a value that no model could have.
    """

    input_kind: str | None = None
    input_shape: tuple[int, ...] | None = None
    output_tensor: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    channel_order: str = "rgb"
    sample_rate: int | None = None
    channels: tuple[str, ...] | None = None
    about: str | None = None
    between: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.input_kind not in (None, *INPUT_KINDS):
            raise ExportError(f"There is no input kind {self.input_kind!r}.", f"Use one of {', '.join(INPUT_KINDS)}.")
        if self.channel_order not in CHANNEL_ORDERS:
            raise ExportError(f"There is no channel order {self.channel_order!r}.", "Use rgb or bgr.")
        if self.sample_rate is not None and not 1 <= self.sample_rate <= 1_000_000:
            raise ExportError(f"{self.sample_rate} Hz is no sample rate.", "Use 1 to 1000000; 16000 is usual for speech.")
        if self.input_shape is not None and not all(1 <= size <= 10_000_000 for size in self.input_shape):
            raise ExportError(f"{self.input_shape} is no shape.", "Give sizes above zero, without the batch.")
        if self.channels is not None and (len(set(self.channels)) != len(self.channels) or not all(self.channels)):
            raise ExportError(f"{','.join(self.channels)} names a channel twice, or one without a name.", "Name each once.")
        for values in (self.mean, self.scale):
            if values is not None and not (values and all(map(math.isfinite, values))):
                raise ExportError("The mean or the scale is not finite.", "Give one number, or one a channel.")
        if self.scale is not None and not all(self.scale):
            raise ExportError("A scale of zero leaves nothing of the input.", "Give 1 / standard deviation.")


@dataclass(frozen=True)
class ExportOptions:
    """Options of `export_bundle`.

    Attributes:
        quantize: the format, one of `QUANTIZATIONS`; by default int8, but None for a .tflite file, which keeps its own.
        calibration: the dataset whose train and val classes quantization, learning rate and rejection are calibrated on; by
            default the run's own. Other models need one for int8; a bundle that has none never says unknown.
        mirror: embed each image together with its mirror image, which is more accurate and takes twice the time; for an
            encoder that was trained with mirrored classes. See `mirrored`.
        quantize_aware: episodes of fine-tuning for int8 on the training classes, where int8 loses much without; see
            `converters.quantization.quantize_aware`.
        max_classes, max_shots: static sizes of the heads in encoder.tflite. Python's runtime knows no such limit.
        max_drop: percentage points of accuracy on validation classes that the format may cost, as a mean over the same
            episodes, with 1 shot or with 5.
        overwrite: replace a bundle that is at the output.
        upgrade_from: bundles of older encoders whose stores migrate to this one; see `converters.calibration.embedding_map`.
        converter: the folder of a venv with the converter of a .onnx or .pt2 file; see `converters.external.other_formats`.
        model_options: facts of another maker's model; None says that it is none, or states all of them itself.

    Raises:
        ExportError: there is no such format, or a number is out of range.
    """

    quantize: str | None = None
    calibration: str | None = None
    mirror: bool = False
    quantize_aware: int = 0
    max_classes: int = 64
    max_shots: int = 256
    max_drop: float = 1.0
    overwrite: bool = False
    upgrade_from: Sequence[str | Path] = ()
    converter: str | Path | None = None
    model_options: ModelOptions | None = None

    def __post_init__(self) -> None:
        if self.quantize not in (None, *QUANTIZATIONS):
            raise ExportError(f"There is no quantization {self.quantize!r}.", f"Use one of {', '.join(QUANTIZATIONS)}.")
        if self.quantize_aware < 0 or (self.quantize_aware and self.quantize not in (None, "int8")):
            raise ExportError(
                "Fine-tuning is for int8, and takes 1 episode or more.", "Use --quantize int8, and 300 episodes."
            )
        if not (2 <= self.max_classes <= 100_000 and 1 <= self.max_shots <= 100_000):
            raise ExportError("The heads' sizes are out of range.", "Use 2 to 100000 classes and 1 to 100000 shots.")
