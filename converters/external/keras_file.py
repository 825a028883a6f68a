"""Read .keras files of mixed precision under float32: TFLite has hardly any operators for arithmetic in float16."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG = "config.json"
NARROW = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}  # names of Keras's policies and dtypes


@contextmanager
def in_float32(path: Path) -> Iterator[Path]:
    """Copy a .keras file to a temporary one whose layers compute in float32; its weights stay.

    Yields the path itself if they do already, or if it is no such file, which its loader says better.
    """
    members = _widened_members(path)
    if members is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        yield copy


def _widened_members(path: Path) -> dict[str, bytes] | None:
    """The files of a .keras file whose layers compute in narrower dtypes, changed; None for others."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(CONFIG))
            wide = widened(config)
            if wide == config:
                return None
            members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return None
    return {**members, CONFIG: json.dumps(wide).encode()}


def widened(config: Any) -> Any:
    """Replace the narrow dtypes and policies in a model's configuration by float32."""
    if isinstance(config, list):
        return [widened(each) for each in config]
    if not isinstance(config, dict):
        return config
    wide: dict[str, Any] = {
        key: "float32" if key == "dtype" and isinstance(value, str) and value in NARROW else widened(value)
        for key, value in config.items()
    }
    inner = wide.get("config")
    if config.get("class_name") == "DTypePolicy" and isinstance(inner, dict) and inner.get("name") in NARROW:
        wide["config"] = {**inner, "name": "float32"}
    return wide
