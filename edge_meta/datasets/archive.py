"""Zip archives of drawings."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_meta.errors import BackendError, DatasetError


@contextmanager
def opened(path: Path, content: str, dataset: str, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; an error while it is read or checked inside the block means that it is damaged.

    Args:
        content: what the archive should hold, for the message.
        dataset: its name for `edge-meta data fetch`.
        name: the file's name where it is published.

    Raises:
        DatasetError: the archive is damaged or holds something else.
        BackendError: Pillow is not installed.
    """
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except BackendError:
        raise
    # A damaged archive fails in whichever of zipfile, zlib and the image decoder trips over it.
    except Exception as error:
        raise DatasetError(
            f"{path} does not hold {content}, or is damaged.",
            f"Delete it and run: edge-meta data fetch {dataset}; or replace it with a sound copy of {name}.",
        ) from error
