"""Tell by a file's name whether it is of another sense than the encoder: an image, sound, video or an array."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from edge_meta.errors import InputError
from edge_meta.inputs import audio_files, image_files

SENSES = {
    "an image": image_files.SUFFIXES,
    "sound": audio_files.SUFFIXES | {".mp3", ".ogg", ".opus", ".m4a", ".aac"},
    "an array": frozenset({".npy", ".npz"}),
    "video": frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm"}),
}


def require_sense(example: Any, suffixes: Collection[str], noun: str) -> None:
    """Raise InputError if an example is the path of a file that is another sense's by its name.

    Args:
        suffixes, noun: of the encoder's input.
    """
    if not isinstance(example, (str, Path)):
        return
    suffix = Path(example).suffix.lower()
    of = {sense for sense, others in SENSES.items() if suffix in others}
    own = {sense for sense, others in SENSES.items() if not others.isdisjoint(suffixes)}
    if of and not of & own:
        raise InputError(
            f"This bundle takes {noun}s; {example} is {of.pop()}.",
            f"Give it one of {', '.join(sorted(suffixes))}, or another bundle.",
        )
