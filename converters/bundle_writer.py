"""Write a bundle's files as a folder or as one zip archive: whole or not at all, and the same bytes each time."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edge_meta import files as output_files
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MANIFEST, shipped

# Models begin at a multiple of a page in the zip, so an app can map them into memory from its package.
PAGE = 4096
# The extra field in which Android's build tools keep such padding: an id, its size, the alignment, zeros.
PADDING_ID = 0xD935


def check_output(output: Path, overwrite: bool) -> None:
    """Raises ExportError when `output` is taken: by a bundle that may not be replaced, or by any other file or folder.

    Raises OutputError when it is neither; see `files.writable`.
    """
    output_files.writable(output, or_folder=True)
    if output.exists():
        if not overwrite:
            raise ExportError(f"{output} exists.", "Use --overwrite to replace it, or choose another --output.")
        if not is_bundle(output):
            raise ExportError(f"{output} is not a bundle, so it is not replaced.", "Choose another --output.")


def is_bundle(path: Path) -> bool:
    """Tell whether a path is a folder or a zip archive with a manifest."""
    if path.is_dir():
        return (path / MANIFEST).exists()
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def is_finished(source: str | Path) -> bool:
    """Tell whether a source is a bundle's path or the name of a shipped one."""
    return is_bundle(Path(source)) or str(source) in shipped()


def write(output: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, or into a zip if the name ends in .zip, and replace the old one.

    Raises:
        ExportError: it cannot be written; the old one is still there.
        OutputError: see `files.writable`.
    """
    try:
        target = output_files.writable(output, or_folder=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with output_files.temporary_folder(target) as scratch:
            made = scratch / "new"
            if output.suffix == ".zip":
                _write_zip(made, files)
            else:
                made.mkdir()
                for name, content in files.items():
                    (made / name).write_bytes(content)
            # Not in the temporary folder, which the next export removes if this process is killed before all is done.
            old = target.with_name(f".{target.name}.replaced")
            if target.is_dir():
                _replace_folder(made, target, old)
            else:
                made.replace(target)
            _remove_bundle(old)
    except OSError as error:
        raise ExportError(f"{output} cannot be written ({error}).", "Choose another --output, or free space.") from None


def _replace_folder(made: Path, output: Path, old: Path) -> None:
    """Move a finished bundle over one that moves to `old`. The old one is back if the second of these steps fails."""
    _remove_bundle(old)
    output.rename(old)
    try:
        made.rename(output)
    except BaseException:
        old.rename(output)
        raise


def _remove_bundle(path: Path) -> None:
    if path.is_dir() and is_bundle(path):
        shutil.rmtree(path)


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)  # of 1980, and with the same attributes on every system
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            if name.endswith(".tflite"):
                header = 30 + len(name.encode()) + 6  # the local header, and the extra field's own
                gap = -(file.tell() + header) % PAGE
                entry.extra = struct.pack("<HHH", PADDING_ID, 2 + gap, PAGE) + bytes(gap)
            archive.writestr(entry, content)
            entry.extra = b""  # the directory at the end need not repeat it
