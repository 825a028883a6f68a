"""Read image files, within bounds of memory; the same for training and for the device.

An image is a uint8 array of shape (height, width, channels), 1 channel for grayscale and 3 for RGB. Reading a file needs
Pillow (`pip install "edge-meta[image]"`); an array needs only NumPy.
"""

from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

MOST_PIXELS = 1 << 26  # 64 megapixels
LONGEST_SIDE = 1 << 16  # pixels; JPEG allows 65,535
# Those of the suffixes. Pillow knows others, some of which run programs or hide a second image in the first.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
BAND = 1 << 20  # pixels that are converted at a time, which bounds memory

TILE_WIDTH, TILE_HEIGHT = 322, 323  # TIFF 6.0, section 15

_opening = threading.Lock()  # warnings.catch_warnings is for one thread at a time


def read_image(
    source: str | Path | bytes, channels: int, name: str | None = None, most_pixels: int = MOST_PIXELS
) -> NDArray[np.uint8]:
    """Decode an image file, the first frame of an animated one, to uint8 (height, width, channels).

    Apply EXIF rotation, lay transparency on white, and scale 16-bit grayscale to 8 bits.

    Args:
        source: a path, or the file's bytes.
        channels: 1 for grayscale, 3 for RGB.
        name: of the image in messages; its path unless given.
        most_pixels: as the file's header tells them, before they are decoded.

    Raises:
        InputError: the file is missing, is not a readable image, or has more than `most_pixels`, or more than 65,536 on a
            side.
        BackendError: Pillow is not installed.
    """
    name = name or ("image" if isinstance(source, bytes) else str(source))
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BackendError(
            f"Reading {name} needs Pillow, which is not installed.", 'Run: pip install "edge-meta[image]"'
        ) from None
    too_large = InputError(
        f"{name} has more than {most_pixels:,} pixels, or more than {LONGEST_SIDE:,} on a side.",
        "Make it smaller, or crop it.",
    )
    try:
        with _opened(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if max(image.width * image.height, _tile_pixels(image)) > most_pixels or max(image.size) > LONGEST_SIDE:
                raise too_large
            ImageOps.exif_transpose(image, in_place=True)
            return _as_array(image, channels)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_large from None
    except InputError:
        raise
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


def _opened(source: Any) -> Any:
    """Read an image's header. Pillow's own warning of too many pixels becomes an error here."""
    from PIL import Image

    with _opening, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(source, formats=FORMATS)


def _tile_pixels(image: Any) -> int:
    """Pixels of a TIFF file's tile, which is decoded whole, however small the image is."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_HEIGHT, 0))


def _as_array(image: Any, channels: int) -> NDArray[np.uint8]:
    """Convert an image to uint8 (height, width, channels), a band of rows at a time."""
    width, height = image.size
    pixels = np.empty((height, width, channels), np.uint8)
    transparent = image.has_transparency_data
    step = max(1, BAND // width)
    for first in range(0, height, step):
        last = min(first + step, height)
        band = image.crop((0, first, width, last)) if step < height else image
        pixels[first:last] = _converted(band, transparent, channels)
    return pixels


def _converted(image: Any, transparent: bool, channels: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        wide = np.asarray(image, np.float64)
        image = Image.fromarray(np.clip(np.round(wide / 257.0), 0, 255).astype(np.uint8))
    elif transparent:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)
