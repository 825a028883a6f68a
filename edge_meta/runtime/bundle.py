"""Open a bundle, which is shipped to a device as a folder or as the same files in one zip. Nothing writes to it.

Bundles are downloaded, so nothing in one is trusted: nothing is unpacked to the disk, no name leads out of the bundle, and
sizes are limited before anything is read.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_meta.errors import BundleError
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.manifest import Manifest
from edge_meta.store.store import Store

if TYPE_CHECKING:
    import zipfile

MANIFEST = "manifest.json"
MODEL = "encoder.tflite"
SEED = "prototypes.db"
MODEL_CARD = "README.md"

STORED, DEFLATED = 0, 8  # a zip's own numbers
LARGEST_MANIFEST = 1 << 20  # bytes
LARGEST_DIRECTORY = 1 << 20  # of a zip: some ten thousand members
LARGEST_BUNDLE = 1 << 29  # bytes of all files together; a phone has a few times that much memory

SHIPPED = Path(__file__).parent.parent / "bundles"
AGAIN = "Get it again from where it came, or export it again."


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Its files have the checksums of the manifest.

    Attributes:
        path: the folder or the zip.
        name: shown to people, and part of the default store's file name.
        model: the content of encoder.tflite.
        seed: the content of prototypes.db, from which a new store starts; None if the bundle has none.
        maps: older encoder's id → the embedding map from it; see the manifest's `embedding_maps`.
    """

    path: Path
    name: str
    manifest: Manifest
    model: bytes
    seed: bytes | None
    maps: Mapping[str, EmbeddingMap] = field(default_factory=dict)

    def __repr__(self) -> str:
        made = self.manifest
        return f"<Bundle {self.name}: {made.input_spec} to {made.dim} values, {made.quantization}, {made.encoder_id[:12]}>"

    @classmethod
    def open(cls, source: str | Path, largest: int = LARGEST_BUNDLE) -> Bundle:
        """Open a bundle by path (a folder or a zip), or by the name of a shipped one.

        Args:
            source: the path or the name.
            largest: bytes that all files together may have.

        Raises:
            BundleError: it is not there, no bundle, damaged, too large, or of a newer format.
        """
        try:
            path = _find(source)
            _require_no_model(path)
            if path.is_dir():
                return cls._read(path, largest, lambda name, most: _read_file(path / name, most))
            no_zip = f"{source} is neither a bundle's folder nor its zip, or it is cut short."
            if not path.is_file():  # to read a device or a pipe could take for ever
                raise BundleError(no_zip, AGAIN)
            import zipfile  # slower to import than a folder is to read

            if not zipfile.is_zipfile(path):
                raise BundleError(no_zip, AGAIN)
            with _ZipFile(path) as file, zipfile.ZipFile(file) as archive:
                file.most = largest
                members = _members(archive, str(source))
                return cls._read(path, largest, lambda name, most: _read_member(archive, members[name], most))
        except BundleError:
            raise
        # A damaged zip fails in whichever decompressor it names, each with errors of its own.
        except Exception as error:
            raise BundleError(f"{source} cannot be read ({error}).", AGAIN) from None

    def open_store(self, path: str | Path, keep_shots: bool = True) -> Store:
        """Open the store at a path; a new one starts from the bundle's seed.

        Args:
            path: of the .db file.
            keep_shots: whether to keep each enrolled shot; see `Store`.

        Raises:
            StoreError: see `Store`.
        """
        manifest = self.manifest
        return Store(Path(path), manifest.encoder_id, manifest.dim, self.seed, keep_shots, self.maps.keys())

    def store_path(self, path: str | Path | None = None) -> Path:
        """The path of the store: the one that was given, else that in the user's data folder."""
        return Path(path) if path is not None else self.default_store_path(self.manifest.encoder_id)

    def default_store_path(self, encoder_id: str) -> Path:
        """The path in the user's data folder of the store of an encoder that this bundle has, or once had."""
        return _data_folder() / "edge_meta" / f"{self.name}-{encoder_id[:12]}.db"

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Name this bundle in errors about its model that are raised inside."""
        try:
            yield
        except BundleError as error:
            raise BundleError(f"{MODEL} in {self.path}: {error.cause}", error.remedy) from None

    @classmethod
    def _read(cls, path: Path, largest: int, read: Callable[[str, int], bytes]) -> Bundle:
        """Read all files by `read(name, most)`, which raises if a file is missing or has more than `most` bytes."""
        try:
            manifest = Manifest.from_json(read(MANIFEST, LARGEST_MANIFEST), str(path))
        except (FileNotFoundError, NotADirectoryError, KeyError):
            raise BundleError(
                f"{path} is not a bundle: it has no {MANIFEST}.", "Name the --output of an edge-meta export."
            ) from None
        contents: dict[str, bytes] = {}
        for name, digest in manifest.files.items():
            try:
                contents[name] = read(name, largest - sum(map(len, contents.values())))
            except (FileNotFoundError, KeyError):
                raise BundleError(f"{path} is incomplete: {name} is missing.", AGAIN) from None
            if hashlib.sha256(contents[name]).hexdigest() != digest:
                raise BundleError(f"{name} in {path} is damaged: its checksum is not the manifest's.", AGAIN)
        maps: dict[str, EmbeddingMap] = {}
        for record in manifest.embedding_maps:
            try:
                maps[record.encoder_id] = EmbeddingMap.from_bytes(contents[record.file], record.dim, manifest.dim)
            except ValueError as error:
                raise BundleError(f"{record.file} in {path} is damaged: {error}.", AGAIN) from None
        name = path.resolve().name.removesuffix(".zip").removesuffix(".bundle")
        return cls(path, name, manifest, contents[MODEL], contents.get(SEED), maps)


class _ZipFile(io.FileIO):
    """A zip's file that reads at most `most` bytes at once: zipfile would read a directory of any declared size."""

    most = LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.most if size is None or size < 0 else min(size, self.most))


def _members(archive: zipfile.ZipFile, source: str) -> dict[str, zipfile.ZipInfo]:
    """List the members beside the manifest by name. It lies at the top, or in the bundle's folder if that was zipped."""
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise BundleError(f"{source} has two members of one name, so that programs could read either.", AGAIN)
    manifest = next((name for name in names if name.split("/")[-1] == MANIFEST), MANIFEST)
    prefix = manifest[: -len(MANIFEST)]
    return {info.filename[len(prefix) :]: info for info in archive.infolist() if info.filename.startswith(prefix)}


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    # Other methods are rare, and allocate as much memory as the member declares before any limit applies.
    if member.compress_type not in (STORED, DEFLATED):
        raise ValueError(f"{member.filename} is compressed in another way than by deflate")
    _within(member.file_size, most)  # zipfile reads no more than the declared size
    return archive.read(member)


def _read_file(path: Path, most: int) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a file")
    _within(status.st_size, most)
    with path.open("rb") as file:
        return file.read(status.st_size + 1)  # a file that has grown since fails its checksum


def _within(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"a file has {size:,} bytes where {most:,} are allowed")


def _data_folder() -> Path:
    """The folder in which programs keep a user's data on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def shipped() -> list[str]:
    """List the names of the bundles that come with edge_meta."""
    return sorted(path.name.removesuffix(".bundle") for path in SHIPPED.glob("*.bundle"))


def _require_no_model(path: Path) -> None:
    """Raise BundleError for a model, or for a folder of `edge-meta train`, of which a bundle can be made."""
    is_model = path.suffix in (".tflite", ".keras") and path.is_file()
    if is_model or (
        not (path / MANIFEST).exists() and any((path / name).is_file() for name in ("run.json", "saved_model.pb"))
    ):
        raise BundleError(
            f"{path} is a plain model, not a bundle.",
            f"Make a bundle first: edge-meta export {path} --output {path.with_suffix('.bundle')}",
        )


def _find(source: str | Path) -> Path:
    path, is_shipped = Path(source), str(source) in shipped()
    # A folder of the same name, such as a dataset's, does not hide a shipped bundle.
    if os.path.isfile(source) or os.path.exists(path / MANIFEST) or (os.path.exists(source) and not is_shipped):
        return path  # os.path.exists, unlike Path.exists, is False for text that cannot be a path
    if is_shipped:
        return SHIPPED / f"{source}.bundle"
    names = ", ".join(shipped())
    raise BundleError(
        f"There is no bundle at {source}.",
        f"Give the path of a bundle, or the name of a shipped one: {names}." if names else "Check the path.",
    )
