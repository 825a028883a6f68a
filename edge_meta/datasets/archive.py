"""Zip archives, within bounds of what they unpack to."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_meta.errors import BackendError, DatasetError

MOST_BYTES = 1 << 32  # of all that is held in memory at once: an unpacked archive, or a split's examples
HIGHEST_RATIO = 200  # of unpacked to packed size; drawings and photos have 1 to 50
MOST_DRAWING_PIXELS = 1 << 16  # of one drawing; Omniglot's have 105×105
ANY_RATIO = 1 << 26  # bytes that may unpack from however few


def check_size(archive: zipfile.ZipFile, most: int = MOST_BYTES) -> None:
    """Check what an archive unpacks to, from its directory alone. Reading a member stops at the size that is told there.

    Raises:
        ValueError: it is more than `most` bytes, or more than 200 times what is packed and more than 64 MiB.
    """
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > most:
        raise ValueError(f"it unpacks to {unpacked:,} bytes; at most {most:,} are read")
    if unpacked > max(ANY_RATIO, HIGHEST_RATIO * sum(member.compress_size for member in members)):
        raise ValueError(f"it unpacks to {unpacked:,} bytes, more than {HIGHEST_RATIO} times its size")


@contextmanager
def opened(path: Path, content: str, dataset: str, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; an error while it is read or checked inside the block means that it is damaged.

    Args:
        content: what the archive should hold, for the message.
        dataset: its name for `edge-meta data fetch`.
        name: the file's name where it is published.

    Raises:
        DatasetError: the archive is damaged, holds something else, or unpacks to too much.
        BackendError: Pillow is not installed.
    """
    try:
        with zipfile.ZipFile(path) as file:
            check_size(file)
            yield file
    except BackendError:
        raise
    # A damaged archive fails in whichever of zipfile, zlib and the image decoder trips over it.
    except Exception as error:
        raise DatasetError(
            f"{path} does not hold {content}, or is damaged.",
            f"Delete it and run: edge-meta data fetch {dataset}; or replace it with a sound copy of {name}.",
        ) from error
