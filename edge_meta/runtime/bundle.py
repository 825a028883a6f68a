"""A bundle: what is shipped to a device, as a folder or as the same files in one zip. It is never written to."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_meta.errors import BundleError
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.store import Store

MANIFEST = "manifest.json"
MODEL = "encoder.tflite"
SEED = "prototypes.db"
MODEL_CARD = "README.md"

SHIPPED = Path(__file__).parent.parent / "bundles"
AGAIN = "Get it again from where it came, or export it again."


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, its files checked against the manifest's checksums.

    Attributes:
        name: for people and for the default store's file name.
        model: the content of encoder.tflite.
        seed: the content of prototypes.db, a store that a new one starts from; None if the bundle has none.
    """

    path: Path
    name: str
    manifest: Manifest
    model: bytes = field(repr=False)
    seed: bytes | None = field(repr=False)

    @classmethod
    def open(cls, source: str | Path) -> Bundle:
        """Open a bundle by path (a folder or a zip), or by the name of a shipped one.

        Raises:
            BundleError: not there, not a bundle, damaged, or of a newer format.
        """
        try:
            path = _find(source)
            if path.is_dir():
                return cls._read(path, lambda name: (path / name).read_bytes())
            with zipfile.ZipFile(path) as archive:
                # Members lie at the top or, when somebody zipped the folder itself, one level down.
                member = next((name for name in archive.namelist() if name.split("/")[-1] == MANIFEST), MANIFEST)
                prefix = member[: -len(MANIFEST)]
                return cls._read(path, lambda name: archive.read(prefix + name))
        except BundleError:
            raise
        except zipfile.BadZipFile:
            raise BundleError(f"{source} is neither a bundle's folder nor its zip, or it is cut short.", AGAIN) from None
        # A damaged zip fails in whichever decompressor it names, each with errors of its own.
        except Exception as error:
            raise BundleError(f"{source} cannot be read ({error}).", AGAIN) from None

    def open_store(self, path: str | Path | None = None, keep_shots: bool = True) -> Store:
        """The store at a path; by default the one in the user's data folder, by the bundle's name and encoder id.

        Args:
            keep_shots: whether what is enrolled is kept shot by shot; see `Store`.

        Raises:
            StoreError: see `Store`.
        """
        return Store(self.store_path(path), self.manifest.encoder_id, self.manifest.dim, self.seed, keep_shots)

    def store_path(self, path: str | Path | None = None) -> Path:
        """Where the store is: at a path that was given, or in the user's data folder."""
        if path is not None:
            return Path(path)
        return _data_folder() / "edge_meta" / f"{self.name}-{self.manifest.encoder_id[:12]}.db"

    @classmethod
    def _read(cls, path: Path, read: Callable[[str], bytes]) -> Bundle:
        try:
            manifest = Manifest.from_json(read(MANIFEST), str(path))
        except (FileNotFoundError, NotADirectoryError, KeyError):
            raise BundleError(
                f"{path} is not a bundle: it has no {MANIFEST}.", "Name the --output of an edge-meta export."
            ) from None
        contents = {}
        for name, digest in manifest.files.items():
            try:
                contents[name] = read(name)
            except (FileNotFoundError, KeyError):
                raise BundleError(f"{path} is incomplete: {name} is missing.", AGAIN) from None
            if hashlib.sha256(contents[name]).hexdigest() != digest:
                raise BundleError(f"{name} in {path} is damaged: its checksum is not the manifest's.", AGAIN)
        name = path.resolve().name.removesuffix(".zip").removesuffix(".bundle")
        return cls(path, name, manifest, contents[MODEL], contents.get(SEED))


def _data_folder() -> Path:
    """Where programs keep a user's data on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def shipped() -> list[str]:
    """Names of the bundles that come with edge_meta."""
    return sorted(path.name.removesuffix(".bundle") for path in SHIPPED.glob("*.bundle"))


def _find(source: str | Path) -> Path:
    path, is_shipped = Path(source), str(source) in shipped()
    # A folder that happens to have a shipped bundle's name, such as a dataset's, does not hide it.
    if os.path.isfile(source) or os.path.exists(path / MANIFEST) or (os.path.exists(source) and not is_shipped):
        return path  # os.path.exists, unlike Path.exists, is False for what can be no path
    if is_shipped:
        return SHIPPED / f"{source}.bundle"
    names = ", ".join(shipped())
    raise BundleError(
        f"There is no bundle at {source}.",
        f"Give the path of a bundle, or the name of a shipped one: {names}." if names else "Check the path.",
    )
