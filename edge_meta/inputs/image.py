"""Images as an encoder's input: size, colours and normalization."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.inputs.image_conversion import is_pillow_image
from edge_meta.inputs.image_files import LONGEST_SIDE, SUFFIXES, read_image
from edge_meta.inputs.resizing import resize
from edge_meta.inputs.senses import require_sense
from edge_meta.inputs.spec import InputSpec


@dataclass(frozen=True)
class ImageInput(InputSpec):
    """An image input: uint8 pixels, resized and normalized to float32 as (pixel − mean) · scale.

    Attributes:
        height, width: of the encoder's input, in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        mean, scale: the normalization. The default maps white paper to 0 and black ink to 1, which keeps the zero padding of
            a convolution paper.
    """

    noun: ClassVar[str] = "image"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES

    height: int = 28
    width: int = 28
    channels: int = 1
    mean: float = 255.0
    scale: float = -1.0 / 255.0

    @classmethod
    def for_shape(cls, shape: tuple[int, int, int]) -> ImageInput:
        """The usual input for an encoder's (height, width, channels): ink on paper for grayscale, [−1, 1) for RGB.

        The mean is 128: 127.5 would put each pixel halfway between two int8 values, where runtimes round differently.
        """
        height, width, channels = shape
        if channels == 1:
            return cls(height, width, channels)
        return cls(height, width, channels, mean=128.0, scale=1.0 / 128.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def __str__(self) -> str:
        return f"{self.height}×{self.width}×{self.channels} image"

    def read(self, example: Any) -> NDArray[np.uint8]:
        """Read one image, a path, Pillow's image or a uint8 array of any size, as uint8 (height, width, channels).

        Raises:
            InputError: the file is unreadable, or the array is of another rank, channel count or dtype.
            BackendError: it is a path, and Pillow is not installed.
        """
        require_sense(example, self.suffixes, self.noun)
        if isinstance(example, (str, Path)) or is_pillow_image(example):
            return resize(read_image(example, self.channels), self.height, self.width)
        self.require_one(example)
        try:
            pixels = np.asarray(example)
        except ValueError:
            raise InputError("An image is a list of rows of different lengths.", "Pass a uint8 array.") from None
        return resize(self._checked(pixels), self.height, self.width)

    def normalize(self, example: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn uint8 (..., height, width, channels) into the float32 values that the encoder takes."""
        normalized: NDArray[np.float32] = (example.astype(np.float32) - np.float32(self.mean)) * np.float32(self.scale)
        return normalized

    def synthetic(self, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
        return rng.integers(0, 256, (count, *self.shape), np.uint8)

    def to_manifest(self) -> dict[str, Any]:
        colour = "grayscale" if self.channels == 1 else "rgb"
        return {"kind": "image", "dtype": "uint8", "resize": "stretch-antialiased", "colour": colour, **asdict(self)}

    @classmethod
    def from_manifest(cls, fields: dict[str, Any]) -> ImageInput:
        """Read the fields of `to_manifest`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, of another type, or out of range.
        """
        if fields["kind"] != "image" or fields["dtype"] != "uint8" or fields["resize"] != "stretch-antialiased":
            raise ValueError("input kind, dtype or resize is unknown")
        height, width, channels = (int(fields[key]) for key in ("height", "width", "channels"))
        if not (1 <= height <= 4096 and 1 <= width <= 4096 and channels in (1, 3)):
            raise ValueError("input shape is out of range")
        mean, scale = float(fields["mean"]), float(fields["scale"])
        if not (abs(mean) < 1e30 and 0.0 < abs(scale) < 1e30):
            raise ValueError("input mean or scale is not usable")
        return cls(height, width, channels, mean, scale)

    def _check_stack(self, stack: NDArray[Any]) -> None:
        if stack.ndim != 4 and not (stack.ndim == 3 and self.channels == 1):
            raise InputError(
                f"Images of shape {stack.shape} are not (n, H, W{', C' if self.channels > 1 else '[, C]'}).",
                "Pass several images stacked on a first axis; for a single one, images[None].",
            )

    def _checked(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        if image.dtype != np.uint8:
            raise InputError(
                f"An image array of dtype {image.dtype} was given; the encoder takes uint8 pixels, 0 to 255.",
                "Convert it, for example (255 * image).astype(numpy.uint8) for values from 0 to 1.",
            )
        if image.ndim == 2 and self.channels == 1:
            image = image[:, :, None]
        if image.ndim != 3 or image.shape[2] != self.channels:
            wanted = "(H, W) or (H, W, 1), grayscale" if self.channels == 1 else f"(H, W, {self.channels}), RGB"
            raise InputError(
                f"An image of shape {image.shape} was given; the encoder takes {wanted}.",
                "Convert its colours, and pass one image at a time here.",
            )
        if max(image.shape) > LONGEST_SIDE:
            raise InputError(f"An image of shape {image.shape} has more than {LONGEST_SIDE:,} on a side.", "Crop it.")
        if 0 in image.shape:
            raise InputError(f"An image of shape {image.shape} has no pixels.", "Check how it was cropped.")
        return image
