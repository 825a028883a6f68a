"""The senses of the demo on shipped bundles: photos, words and gestures, each with examples from a seed and its wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_meta.datasets import motions, spoken
from edge_meta.datasets.renderings import THINGS, picture
from edge_meta.inputs.png import write_png
from edge_meta.inputs.wav import write_wav
from edge_meta.reports.motion_picture import motion_picture
from edge_meta.reports.sound_pictures import spectrogram
from edge_meta.reports.taught_things_page import Wording


class Made(NamedTuple):
    """An example.

    Attributes:
        example: as the bundle takes it.
        content: of its file.
        picture: of it on the page, a PNG or SVG file's content.
    """

    example: Any
    content: bytes
    picture: bytes


@dataclass(frozen=True)
class Sense:
    """A demo's bundle, and what it is taught.

    Attributes:
        dataset: of the examples.
        work: the first step's line.
        taught: labels.
        all: these, and strangers.
        newcomer: a stranger that is taught later.
        mistaken: an example of the first is enrolled as the second.
        make: gives a label's example of a number from 0; no two numbers are alike.
        suffix: of files.
        is_heard: whether files can be played, and labels are heard in a stream, too.
    """

    wording: Wording
    bundle: str
    dataset: str
    work: str
    taught: Sequence[str]
    all: Sequence[str]
    newcomer: str
    mistaken: tuple[str, str]
    make: Callable[[str, int], Made]
    suffix: str
    is_heard: bool = False

    @property
    def strangers(self) -> list[str]:
        """The labels that are not taught, the newcomer among them, in the order of their folders."""
        return sorted(set(self.all) - set(self.taught))


def _photo(thing: str, number: int) -> Made:
    pixels = picture(thing, number)
    content = write_png(pixels)
    return Made(pixels, content, content)


def _word(word: str, voice: int) -> Made:
    samples = spoken.recording(word, voice)
    return Made(samples, write_wav(samples, spoken.RATE), spectrogram(samples))


def _gesture(shape: str, person: int) -> Made:
    made = motions.motion(shape, person)
    return Made(made.readings, motions.table(made).encode(), motion_picture(made.drawn, made.readings))


SENSES = {
    "photos": Sense(
        Wording(
            "photos", "picture", "things", "a {}",
            "The pictures are computed, not photos; docs/photos.md has the figures on photos.",
        ),
        "objects", "renderings", "Rendering pictures of ten things, each with its own pose, table and light",
        ("apple", "fish", "key", "leaf", "mug"), tuple(THINGS), "duck", ("mug", "apple"), _photo, ".png",
    ),
    "words": Sense(
        Wording(
            "words", "recording", "words", "“{}”",
            "The sounds are computed, nobody spoke them, and new ones are of voices that did not teach; docs/words.md has "
            "the figures on people's recordings.",
        ),
        "keywords", "spoken", "Speaking ten words, each time in another voice",
        spoken.WORDS[:5], spoken.WORDS, "dafemo", ("suka", "mano"), _word, ".wav", is_heard=True,
    ),
    "gestures": Sense(
        Wording(
            "gestures", "motion", "gestures", "a {}",
            "The motions are computed, no phone recorded them, and new ones are of people who did not teach; "
            "docs/gestures.md has figures on people's strokes.",
        ),
        "gestures", "motions", "Drawing ten shapes in the air, each time by somebody else",
        ("circle", "eight", "tick", "triangle", "zigzag"), tuple(motions.SHAPES), "spiral", ("tick", "circle"),
        _gesture, ".csv",
    ),
}  # fmt: skip
