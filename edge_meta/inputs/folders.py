"""List the files of a folder that are examples; the same for datasets and for the device.

Skip by name what cameras, phones and file managers put beside them.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edge_meta.errors import InputError

# Names of files and folders in lower case; those that begin with a dot are skipped, too.
SKIPPED = frozenset(
    {"classes.csv", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"}
)
# Suffixes of files that describe others.
SIDECARS = frozenset(
    {".txt", ".md", ".json", ".xml", ".xmp", ".aae", ".thm", ".ini", ".db", ".html", ".log", ".yaml", ".yml"}
)


@dataclass(frozen=True)
class Listing:
    """The content of a folder in name order, without what is skipped.

    Attributes:
        examples: the files with one of the suffixes asked for.
        others: the other files.
        folders: the subfolders.
    """

    examples: tuple[Path, ...]
    others: tuple[Path, ...]
    folders: tuple[Path, ...]


def list_folder(folder: Path, suffixes: Collection[str]) -> Listing:
    """List a folder, without what its subfolders hold.

    Args:
        suffixes: of examples, in lower case, with their dot.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        paths = [path for path in sorted(folder.iterdir()) if not _skipped(path.name.lower())]
    except OSError as error:
        raise InputError(
            f"{folder} cannot be listed ({error.strerror or error}).", "Check that it is a folder which you may read."
        ) from None
    folders = tuple(path for path in paths if path.is_dir())
    files = [path for path in paths if path not in folders]
    examples = tuple(path for path in files if path.suffix.lower() in suffixes)
    others = tuple(path for path in files if path.suffix.lower() not in {*suffixes, *SIDECARS})
    return Listing(examples, others, folders)


def list_tree(folder: Path, suffixes: Collection[str]) -> Listing:
    """List a folder with all that its subfolders hold; a folder that links lead back to is listed once.

    Args:
        suffixes: as for `list_folder`.

    Raises:
        InputError: one of the folders cannot be read.
    """
    listings, waiting, seen = [], [folder], set()
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real not in seen:
            seen.add(real)
            listings.append(list_folder(current, suffixes))
            waiting += listings[-1].folders
    return Listing(
        tuple(sorted(path for listing in listings for path in listing.examples)),
        tuple(sorted(path for listing in listings for path in listing.others)),
        tuple(sorted(path for listing in listings for path in listing.folders)),
    )


def list_labels(folder: Path, suffixes: Collection[str], noun: str) -> dict[str, Listing]:
    """List a folder with one subfolder per label: label → what its subfolder holds, in name order.

    Args:
        suffixes: as for `list_folder`.
        noun: of an example, in messages.

    Raises:
        InputError: files lie beside the subfolders, a subfolder has subfolders or no files, or there are no subfolders.
    """
    top = list_folder(folder, suffixes)
    if top.examples:
        beside = "beside its subfolders" if top.folders else "and no subfolders"
        raise InputError(
            f"{folder} holds {noun}s {beside}, so their label is not clear.",
            f"Give a label for all that is in it, before the folder, or put the {noun}s into one subfolder per label.",
        )
    if not top.folders:
        raise InputError(
            f"{folder} holds no subfolders.",
            f"Put one subfolder per label into it, each with {noun} files ({', '.join(sorted(suffixes))}).",
        )
    labels = {child.name: list_folder(child, suffixes) for child in top.folders}
    for name, listing in labels.items():
        if listing.folders:
            raise InputError(
                f"{folder / name} holds subfolders, so the labels of what is in them are not clear.",
                f"{did_you_mean(folder, suffixes)}Give a label for all that is in it, before the folder, or move its "
                f"{noun}s up into it.",
            )
        if not listing.examples and not listing.others:
            raise no_examples(folder / name, suffixes, noun)
    return labels


def did_you_mean(folder: Path, suffixes: Collection[str]) -> str:
    """The question that helps who named a folder one level too high, and a blank; else nothing.

    Args:
        suffixes: as for `list_folder`.

    Raises:
        InputError: one of the folders cannot be read.
    """
    for child in list_folder(folder, suffixes).folders:
        inner = list_folder(child, suffixes)
        if not inner.examples and any(list_folder(label, suffixes).examples for label in inner.folders):
            return f"Did you mean {child}? "
    return ""


def no_examples(folder: Path, suffixes: Collection[str], noun: str) -> InputError:
    """The error of a folder without files of the encoder's kind."""
    return InputError(
        f"{folder} holds no {noun}s.", f"Put {noun} files into it ({', '.join(sorted(suffixes))}), or leave it out."
    )


def _skipped(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED
