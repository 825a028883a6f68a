"""Files of npm's packages: from a folder, or by npm into the user's cache. Each file is checked by its SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_meta import files
from edge_meta.errors import ExportError


@dataclass(frozen=True)
class Package:
    """A package at a version."""

    name: str
    version: str

    @property
    def archive(self) -> str:
        """The name that `npm pack` gives its archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class Source:
    """A file of a package: the package, the file's path in it, and its SHA-256."""

    package: Package
    path: str
    sha256: str


def read(folder: Path, wanted: Mapping[str, Source], remedy: str) -> dict[str, bytes]:
    """Read files from a folder in which packages are installed, or where the archives of `npm pack` lie.

    Args:
        wanted: the files by the names that they are returned by.
        remedy: what an error advises.

    Raises:
        ExportError: a file is not there, or not that of its version.
    """
    archives = {package: _archive(folder / package.archive) for package in {source.package for source in wanted.values()}}
    found = {}
    for name, source in wanted.items():
        content = archives[source.package].get(source.path)
        if content is None:
            content = _installed(folder, source)
        if content is None:
            raise ExportError(f"{folder} has no {source.path} of {source.package.name}.", remedy)
        if hashlib.sha256(content).hexdigest() != source.sha256:
            raise ExportError(
                f"{source.path} of {source.package.name} in {folder} is not that of version {source.package.version}.",
                remedy,
            )
        found[name] = content
    return found


def fetch(cache: Path, packages: Iterable[Package], remedy: str) -> None:
    """Fetch the archives of packages that a folder does not have yet.

    Raises:
        ExportError: npm is not installed, or fails.
    """
    missing = [package for package in packages if not (cache / package.archive).exists()]
    if not missing:
        return
    names = " and ".join(package.name for package in missing)
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"The cache has no {names}, and there is no npm to fetch it.", remedy)
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [npm, "pack", "--silent", *(f"{package.name}@{package.version}" for package in missing)],
            cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
            raise ExportError(f"npm cannot fetch {names} ({last}).", remedy)
        cache.mkdir(parents=True, exist_ok=True)
        for archive in Path(scratch).glob("*.tgz"):
            with files.replacing(cache / archive.name) as file:
                file.write(archive.read_bytes())


def _archive(path: Path) -> dict[str, bytes]:
    """The files of a package's archive, by path in the package; empty if there is no archive."""
    contents = {}
    if path.exists():
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member)  # None for a folder
                    if file is not None:
                        contents[member.name.removeprefix("package/")] = file.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ExportError(f"{path} cannot be read ({error}).", "Get it again with: npm pack") from None
    return contents


def _installed(folder: Path, source: Source) -> bytes | None:
    # The last, where the folder is that of npm's scope, node_modules/@litertjs.
    for parent in (folder / "node_modules", folder, folder.parent):
        path = parent / source.package.name / source.path
        if path.is_file():
            return path.read_bytes()
    return None
