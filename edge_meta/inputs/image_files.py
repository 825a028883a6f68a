"""Read image files and resize images; the same for training and for the device.

An image is a uint8 array of shape (height, width, channels), 1 channel for grayscale and 3 for RGB. Reading a file needs
Pillow (`pip install "edge-meta[image]"`); an array needs only NumPy.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


def read_image(source: str | Path | bytes, channels: int, name: str | None = None) -> NDArray[np.uint8]:
    """Decode an image file to uint8 (height, width, channels).

    Apply EXIF rotation, lay transparency on white, and scale 16-bit grayscale to 8 bits.

    Args:
        source: a path, or the file's bytes.
        channels: 1 for grayscale, 3 for RGB.
        name: of the image in messages; its path unless given.

    Raises:
        InputError: the file is missing or is not a readable image.
        BackendError: Pillow is not installed.
    """
    name = name or ("image" if isinstance(source, bytes) else str(source))
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BackendError(
            f"Reading {name} needs Pillow, which is not installed.", 'Run: pip install "edge-meta[image]"'
        ) from None
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            image = ImageOps.exif_transpose(file)
            return _as_array(image, channels)
    except FileNotFoundError:
        raise InputError(f"{name} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{name} is a folder.", "Name the image files in it.") from None
    # Pillow's decoders raise whatever their parsing trips over, so every Exception here means a bad file.
    except Exception as error:
        raise InputError(
            f"{name} is not a readable image ({type(error).__name__}: {error}).",
            "Remove it from the list, or replace it with a PNG or JPEG file.",
        ) from None


def _as_array(image: Any, channels: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        wide = np.asarray(image, np.float64)
        image = Image.fromarray(np.clip(np.round(wide / 257.0), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize an image, uint8 (h, w, c), to uint8 (height, width, c). The aspect ratio may change.

    Antialiased linear interpolation: a triangle filter as wide as the shrink factor (Turkowski 1990, "Filters for common
    resampling tasks"). It is separable, so two small matrix products do it. The result is rounded to uint8, so that an image
    resized beforehand has the same embedding as one resized here.
    """
    if image.shape[:2] == (height, width):
        return image
    rows = _triangle_filter(image.shape[0], height)
    columns = _triangle_filter(image.shape[1], width)
    resized = np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float32), columns, optimize=True)
    pixels: NDArray[np.uint8] = np.clip(np.rint(resized), 0, 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=64)
def _triangle_filter(size: int, target: int) -> NDArray[np.float32]:
    """The (target, size) matrix that resamples one axis; its rows sum to one."""
    step = size / target
    support = max(step, 1.0)
    centers = (np.arange(target) + 0.5) * step
    offsets = (np.arange(size) + 0.5)[None, :] - centers[:, None]
    weights = np.maximum(0.0, 1.0 - np.abs(offsets) / support)
    normalized: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalized
