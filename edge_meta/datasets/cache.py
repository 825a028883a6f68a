"""The folder of downloads and local archives: `$EDGE_META_DATA`, else ~/.cache/edge_meta."""

from __future__ import annotations

import os
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path

from edge_meta import files
from edge_meta.errors import DatasetError


def folder() -> Path:
    """The data folder; it need not exist."""
    return Path(os.environ.get("EDGE_META_DATA") or Path.home() / ".cache" / "edge_meta").expanduser()


def fetch(dataset: str, name: str, url: str) -> Path:
    """Download an archive unless it is there; returns its path.

    Args:
        dataset: for messages.
        name: the archive's path in the data folder.

    Raises:
        DatasetError: it is not there and cannot be downloaded or saved.
    """
    path = folder() / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=60) as response, files.replacing(path) as file:
            shutil.copyfileobj(response, file)
            length = response.headers.get("Content-Length")
            if length is not None and file.tell() != int(length):
                raise OSError(f"it ended after {file.tell()} of {length} bytes")
    except (OSError, HTTPException) as error:
        raise DatasetError(
            f"{dataset} is not at {path}, and downloading {url} failed ({error}).",
            f"Connect to the network, or set EDGE_META_DATA to a folder that has {name}.",
        ) from None
    return path
