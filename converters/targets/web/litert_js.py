"""The files of LiteRT.js, which runs encoders in a browser: from a folder, or by npm into the user's cache.

Each file is checked by its SHA-256, wherever it comes from.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_meta import files
from edge_meta.errors import ExportError

VERSION = "2.5.3"
PACKAGES = ("core", "wasm-utils")  # of @litertjs
SOURCE_MAP = b"//# sourceMappingURL=index.js.map"


@dataclass(frozen=True)
class Source:
    """A file of a package: the package's name, the file's path in it, and its SHA-256."""

    package: str
    path: str
    sha256: str


# By name in the site. Of the four builds, the page loads the plain one, or compat in browsers without relaxed SIMD.
FILES = {
    "litert.js": Source("core", "dist/index.js", "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3"),
    "wasm_utils.js": Source(
        "wasm-utils", "dist/index.js", "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2"
    ),
    "litert_wasm_internal.js": Source(
        "core", "wasm/litert_wasm_internal.js", "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb"
    ),
    "litert_wasm_internal.wasm": Source(
        "core", "wasm/litert_wasm_internal.wasm", "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614"
    ),
    "litert_wasm_compat_internal.js": Source(
        "core", "wasm/litert_wasm_compat_internal.js", "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5"
    ),
    "litert_wasm_compat_internal.wasm": Source(
        "core", "wasm/litert_wasm_compat_internal.wasm", "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c"
    ),
}


@dataclass(frozen=True)
class LiteRtJs:
    """Where LiteRT.js is taken from.

    Attributes:
        source: a folder in which its packages are installed, or where the archives of `npm pack` lie, or one of these
            archives; None for the cache, which npm fills.
        cache: the folder of the archives that npm has fetched.
        wanted: the site's files.
    """

    source: Path | None = None
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "edge_meta" / "npm")
    wanted: Mapping[str, Source] = field(default_factory=lambda: FILES)

    def read(self) -> dict[str, bytes]:
        """The library's files by name in the site, ready to be served from one folder.

        Raises:
            ExportError: they are not there, not those of the tested version, or npm cannot fetch them.
        """
        if self.source is not None:
            folder = self.source.parent if self.source.is_file() else self.source
            return self._from(folder, f"Give a folder where this was run: npm install @litertjs/core@{VERSION}")
        if not all(list(self.cache.glob(f"litertjs-{package}-{VERSION}.tgz")) for package in PACKAGES):
            fetch(self.cache)
        return self._from(self.cache, f"Remove {self.cache}, and export again.")

    def _from(self, folder: Path, remedy: str) -> dict[str, bytes]:
        archives = {package: _archive(folder, package) for package in PACKAGES}
        found = {}
        for name, source in self.wanted.items():
            content = archives[source.package].get(source.path)
            if content is None:
                content = _installed(folder, source)
            if content is None:
                raise ExportError(f"{folder} has no {source.path} of @litertjs/{source.package}.", remedy)
            if hashlib.sha256(content).hexdigest() != source.sha256:
                raise ExportError(
                    f"{source.path} of @litertjs/{source.package} in {folder} is not that of version {VERSION}.", remedy
                )
            # Packages import each other by a name that only a build tool resolves.
            found[name] = content.replace(b'"@litertjs/wasm-utils"', b'"./wasm_utils.js"').replace(SOURCE_MAP, b"")
        return found


def fetch(cache: Path) -> None:
    """Fetch the packages' archives by npm into a folder.

    Raises:
        ExportError: npm is not installed, or fails.
    """
    remedy = (
        f"Install npm and connect to the network, or give what npm install @litertjs/core@{VERSION} made: --litert-js FOLDER"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError("LiteRT.js is not in the cache, and there is no npm to fetch it.", remedy)
    with tempfile.TemporaryDirectory() as scratch:
        packages = [f"@litertjs/{package}@{VERSION}" for package in PACKAGES]
        done = subprocess.run(
            [npm, "pack", "--silent", *packages], cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
            raise ExportError(f"npm cannot fetch LiteRT.js ({last}).", remedy)
        cache.mkdir(parents=True, exist_ok=True)
        for archive in Path(scratch).glob("*.tgz"):
            with files.replacing(cache / archive.name) as file:
                file.write(archive.read_bytes())


def _archive(folder: Path, package: str) -> dict[str, bytes]:
    """The files of a package's archive, by path in the package; empty if there is no archive."""
    contents = {}
    for path in sorted(folder.glob(f"litertjs-{package}-*.tgz"))[:1]:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member)  # None for a folder
                    if file is not None and member.name.endswith((".js", ".wasm")):
                        contents[member.name.removeprefix("package/")] = file.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ExportError(f"{path} cannot be read ({error}).", "Get it again with: npm pack") from None
    return contents


def _installed(folder: Path, source: Source) -> bytes | None:
    for parent in (folder / "node_modules" / "@litertjs", folder / "@litertjs", folder):
        path = parent / source.package / source.path
        if path.is_file():
            return path.read_bytes()
    return None
