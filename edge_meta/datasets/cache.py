"""Where downloads and local archives live: `$EDGE_META_DATA`, else ~/.cache/edge_meta."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from edge_meta.errors import DatasetError


def folder() -> Path:
    return Path(os.environ.get("EDGE_META_DATA") or Path.home() / ".cache" / "edge_meta").expanduser()


def fetch(dataset: str, name: str, url: str) -> Path:
    """The path of an archive, which is downloaded unless it is already there.

    Raises:
        DatasetError: it is not there and cannot be downloaded or saved.
    """
    path = folder() / dataset / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=name, delete=False) as file:
            partial = Path(file.name)
            try:
                with urllib.request.urlopen(url, timeout=60) as response:
                    shutil.copyfileobj(response, file)
                file.close()
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except (OSError, urllib.error.URLError) as error:
        raise DatasetError(
            f"{dataset} is not at {path}, and downloading {url} failed ({error}).",
            f"Connect to the network, or set EDGE_META_DATA to a folder that has {dataset}/{name}.",
        ) from None
    return path
