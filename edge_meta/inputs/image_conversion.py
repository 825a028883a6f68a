"""Convert Pillow's images, whatever their mode, to arrays of pixels: uint8 (height, width, channels)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError

BAND = 1 << 20  # pixels that are converted at a time, which bounds memory
SAMPLE = 64  # pixels on a side of the copy whose colours are measured
GRAYS = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})


def is_pillow_image(example: Any) -> bool:
    """Whether it is an image object of Pillow. Where there is one, Pillow is loaded."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(example, pillow.Image)


def check_mode(image: Any, name: str) -> None:
    """Raise InputError if an image's mode does not tell which values are black and white."""
    # Pillow before 11.3 reads 16-bit PNG files in mode I.
    if image.mode == "F" or (image.mode == "I" and getattr(image, "format", None) != "PNG"):
        kind = "floating-point" if image.mode == "F" else "32-bit or signed"
        raise InputError(
            f"{name} has {kind} pixels (mode {image.mode}), and does not tell which values are black and white.",
            "Scale it to 0 to 255, and save it with 8 bits a pixel.",
        )


def to_pixels(image: Any, channels: int) -> NDArray[np.uint8]:
    """Convert an image that `check_mode` lets pass, a band of rows at a time.

    Lay transparency on white, and scale 16-bit grayscale to 8 bits: 257 steps of 16 bits are one of 8.
    """
    width, height = image.size
    pixels = np.empty((height, width, channels), np.uint8)
    transparent = image.has_transparency_data
    step = max(1, BAND // width)
    for first in range(0, height, step):
        last = min(first + step, height)
        band = image.crop((0, first, width, last)) if step < height else image
        pixels[first:last] = _converted(band, transparent, channels)
    return pixels


def mean_chroma(image: Any) -> float:
    """The mean of max(R, G, B) − min(R, G, B), from 0 to 255, over a grid of at most 64 × 64 of an image's pixels."""
    from PIL import Image

    if image.mode in GRAYS:
        return 0.0
    small = image.resize([min(SAMPLE, side) for side in image.size], Image.Resampling.NEAREST)
    return float(np.ptp(to_pixels(small, 3), axis=2).mean())


def _converted(image: Any, transparent: bool, channels: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I"):
        wide = np.asarray(image, np.float64)
        image = Image.fromarray(np.clip(np.round(wide / 257.0), 0, 255).astype(np.uint8))
    elif transparent:
        if image.mode == "La":
            image = image.convert("LA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    elif image.mode == "LAB":
        image = image.convert("RGB")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)
