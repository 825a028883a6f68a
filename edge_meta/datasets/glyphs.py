"""Glyphs: characters of a dozen scripts, drawn from the type faces that matplotlib ships. Nothing is downloaded.

It replaces Omniglot where there is no network: each example sets a character in one of its type faces, bends it and
changes its strokes' width, as handwriting does. Drawings are black (0) on white (255). On one machine a seed always gives
the same pixels; another Pillow, or another BLAS, may round some grays differently.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset, split_of_classes
from edge_meta.errors import BackendError, DatasetError
from edge_meta.inputs import ImageInput

try:
    import matplotlib
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
except ImportError:
    raise BackendError(
        "The dataset glyphs needs matplotlib and Pillow, which are not both installed.",
        'Run: pip install "edge-meta[train]"',
    ) from None

EXAMPLES = 20

# Each name is what the Unicode names of a script's letters begin with; its title case is the group of the class.
SCRIPTS = (
    *("LATIN", "GREEK", "COPTIC", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "LAO", "GEORGIAN"),
    *("CANADIAN SYLLABICS", "LISU", "OLD ITALIC"),
)

# Slanted faces are here, true italics are not: they give a letter another letter's form (an italic Cyrillic т is an m).
UPRIGHT = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral")
FACES = (
    *(family + style for family in UPRIGHT[:2] for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *("DejaVuSerif", "DejaVuSerif-Bold", "STIXGeneral", "STIXGeneralBol"),
)
FEWEST_FACES = 4

FONT_SIZE = 64  # pixels an em
SMALLEST = FONT_SIZE // 2  # the ink of an x is 35 pixels high; smaller marks would be blots at the size of a letter

# Two characters look alike in a face when, fitted to a square, this share of either's ink is near ink of the other.
LOOK_ALIKE = 0.94
FITTED = 36  # pixels a side of that square
NEAR = 5  # pixels a side of the neighbourhood of a pixel

CANVAS = 60  # pixels a side of a drawing
INK = 40  # pixels of a character's longer side on it, before it is stretched
EDGES = np.linspace(0, CANVAS, 4, dtype=int)  # of the cells that the canvas is bent by
NODES = np.stack(np.meshgrid(EDGES, EDGES), axis=2)  # (4, 4, 2), each cell's corners as x and y
CELLS = np.concatenate([NODES[:-1, :-1], NODES[1:, 1:]], axis=2).reshape(-1, 4).tolist()  # left, top, right, bottom
THINNER, THICKER = ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3)


@dataclass(frozen=True)
class Character:
    """A character that is a class, and the type faces that have it."""

    symbol: str
    script: str
    faces: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"U+{ord(self.symbol):04X} {self.symbol}"


def load(split: str, input_spec: ImageInput, seed: int = 0) -> Dataset:
    """Draw a split at the encoder's size, 20 examples a class; classes are `U+0416 Ж`, groups are scripts.

    A character's examples depend on the seed and its code point alone, not on the split.

    Args:
        split: `train` (60 % of the characters), `val`, `test` (20 % each), or `all`.
        input_spec: size and channels; each channel gets the same gray.
        seed: non-negative integer.

    Raises:
        DatasetError: a type face of matplotlib's is missing.
    """
    every = characters()
    chosen = [every[index] for index in split_of_classes([character.name for character in every], split)]
    images = [image for character in chosen for image in _examples(character, input_spec, seed)]
    labels = np.repeat(np.arange(len(chosen), dtype=np.int32), EXAMPLES)
    names, groups = (tuple(getattr(character, field) for character in chosen) for field in ("name", "script"))
    return Dataset("glyphs", split, np.stack(images), labels, names, groups)


@cache
def characters() -> tuple[Character, ...]:
    """The classes in the order of their code points: letters of `SCRIPTS`, no two of which look alike."""
    faces: dict[int, list[str]] = {}
    for face in FACES:
        for code in FT2Font(_path(face)).get_charmap():
            faces.setdefault(code, []).append(face)
    candidates = []
    for code, found in sorted(faces.items()):
        symbol, name = chr(code), unicodedata.name(chr(code), "")
        script = next((script for script in SCRIPTS if name.startswith(f"{script} ")), None)
        # Modifier letters are of another category; accented letters and ligatures decompose.
        letter = unicodedata.category(symbol) in ("Lu", "Ll", "Lo") and unicodedata.normalize("NFKD", symbol) == symbol
        common = UPRIGHT[0] in found and len(found) >= FEWEST_FACES
        if script and letter and common and max(ink_of(symbol, UPRIGHT[0]).size) >= SMALLEST:
            candidates.append(Character(symbol, script.title(), tuple(found)))
    alike = np.zeros((len(candidates), len(candidates)), bool)
    for face in UPRIGHT:
        have = [index for index, candidate in enumerate(candidates) if face in candidate.faces]
        alike[np.ix_(have, have)] |= likeness([candidates[index].symbol for index in have], face) >= LOOK_ALIKE
    kept: list[int] = []
    for index in range(len(candidates)):
        if not alike[index, kept].any():
            kept.append(index)
    return tuple(candidates[index] for index in kept)


def likeness(symbols: Sequence[str], face: str) -> NDArray[np.float32]:
    """Likeness of each two symbols, symmetric (n, n), 0 to 1: the smaller of the two shares of ink near the other's ink.

    Not the cosine of the pixels: a small letter that is its capital with thicker strokes would differ more than a D from
    a Đ.
    """
    fitted = [ImageOps.pad(ink_of(symbol, face), (FITTED, FITTED), Image.Resampling.BILINEAR) for symbol in symbols]
    ink = np.stack([np.ravel(image) for image in fitted]).astype(np.float32)
    near = np.stack([np.ravel(image.filter(ImageFilter.MaxFilter(NEAR))) for image in fitted]).astype(np.float32) / 255
    shares = (ink / ink.sum(axis=1, keepdims=True)) @ near.T
    smaller: NDArray[np.float32] = np.minimum(shares, shares.T)
    return smaller


def _examples(character: Character, input_spec: ImageInput, seed: int) -> list[NDArray[np.uint8]]:
    """The character's examples as `input_spec` gives them."""
    rng = np.random.default_rng((seed, ord(character.symbol)))
    inks = inks_in_turn(character, rng)
    # Thick strokes get thinner and others thicker, since thin ones would break and thick ones run together.
    pens = [THINNER if np.mean(ink.filter(THINNER)) > 0.6 * np.mean(ink) else THICKER for ink in inks]
    drawings = [_drawn(ink, pen, rng) for ink, pen in zip(inks, pens, strict=True)]
    return input_spec.read_all([np.repeat(drawing[:, :, None], input_spec.channels, axis=2) for drawing in drawings])


def inks_in_turn(character: Character, rng: np.random.Generator) -> list[Image.Image]:
    """The ink of each example, white on black; the character's faces take turns, in an order of its own."""
    faces = rng.permutation(character.faces)
    # A margin lets the strokes at the edge of the ink be antialiased.
    inks = [ImageOps.expand(ImageOps.contain(ink_of(character.symbol, face), (INK, INK)), border=2) for face in faces]
    return [inks[turn % len(faces)] for turn in range(EXAMPLES)]


def _drawn(ink: Image.Image, pen: ImageFilter.Filter, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, slant, stretch, move and bend the ink, and draw it with another pen: uint8 (60, 60), black on white."""
    angle, slant = np.radians(rng.uniform(-10, 10)), rng.uniform(-0.25, 0.25)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_canvas = turned @ [[1, slant], [0, 1]] * rng.uniform(0.7, 1.05, 2)
    # Pillow asks where in the ink the corners of each cell of the canvas come from; moving the corners bends strokes.
    nodes = NODES - CANVAS / 2 - rng.uniform(-3, 3, 2) + rng.uniform(-3, 3, NODES.shape)
    source = nodes @ np.linalg.inv(to_canvas).T + np.array(ink.size) / 2
    quads = np.concatenate([source[:-1, :-1], source[1:, :-1], source[1:, 1:], source[:-1, 1:]], axis=2).reshape(-1, 8)
    mesh = list(zip(CELLS, quads.tolist(), strict=True))
    bent = ink.transform((CANVAS, CANVAS), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return 255 - np.asarray(Image.blend(bent, bent.filter(pen), rng.uniform(0.3, 0.9)))


def ink_of(symbol: str, face: str) -> Image.Image:
    """The character in that face, white on black, cropped to its ink."""
    font = font_of(face)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(symbol))
    image = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(image).text((-left, -top), symbol, fill=255, font=font)
    return image.crop(image.getbbox())


@cache
def font_of(face: str) -> ImageFont.FreeTypeFont:
    """The type face at `FONT_SIZE`."""
    # The other layout engine, Raqm, is in some builds of Pillow only and would shape Arabic letters differently.
    return ImageFont.truetype(_path(face), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


def _path(face: str) -> str:
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    if not path.is_file():
        raise DatasetError(f"matplotlib's type face {path} is missing.", "Run: pip install --force-reinstall matplotlib")
    return str(path)
