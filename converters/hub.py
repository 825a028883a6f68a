"""Fetch a model or a bundle from a hub or a web address, with its checksum and, where it is stated, its licence."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any

from edge_meta import files
from edge_meta.errors import BackendError, ExportError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        file: its path here.
        licence: as the hub's repository states it; None where nothing does.
        revision: the repository's commit; None for other addresses.
    """

    file: str
    bytes: int
    sha256: str
    licence: str | None
    revision: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def fetch(
    address: str,
    output: str | Path | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
) -> Fetched:
    """Fetch one file: whole, with the right checksum, or not at all.

    Args:
        address: hf://OWNER/REPOSITORY/PATH, with @REVISION behind the repository if need be, or an https address.
        output: the file to write; by default the address's last part, in the current folder.
        sha256: that it must have.
        endpoint: the hub's address; by default that of huggingface_hub, which reads $HF_ENDPOINT.

    Raises:
        ExportError: it cannot be fetched, has another checksum, or the output is taken.
        BackendError: huggingface_hub is not installed.
        OutputError: see `files.writable`.
    """
    parts = urllib.parse.urlsplit(address)
    name = PurePosixPath(urllib.parse.unquote(parts.path)).name
    target = Path(output or name)
    if parts.scheme not in ("hf", "https", "http") or not parts.netloc or not name:
        raise ExportError(
            f"{address} is no address of a file.", "Give hf://OWNER/REPOSITORY/PATH, or https:// and the rest of it."
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and sha256 is None:
        raise ExportError(f"{address} may be changed on its way.", "Use https, or give the --sha256 that it must have.")
    if files.writable(target).exists() and not overwrite:
        raise ExportError(f"{target} exists.", "Use --overwrite to replace it, or choose another --output.")
    with tempfile.TemporaryDirectory() as folder:
        licence = revision = stated = None
        if parts.scheme == "hf":
            fetched, licence, revision, stated = _from_hub(address, Path(folder), endpoint)
        else:
            fetched = _from_web(address, Path(folder) / "fetched")
        with fetched.open("rb") as file:
            found = _checksum(file)
            for wanted in (sha256, stated):
                if wanted is not None and wanted.lower() != found:
                    raise ExportError(f"{address} has the SHA-256 {found}, not {wanted}.", "Do not use it; ask its maker.")
            file.seek(0)
            try:
                with files.replacing(target) as written:
                    shutil.copyfileobj(file, written)
                    size = written.tell()
            except OSError as error:
                raise ExportError(f"{target} cannot be written ({error}).", "Choose another --output.") from None
    return Fetched(str(target), size, found, licence, revision)


def _from_hub(address: str, folder: Path, endpoint: str | None) -> tuple[Path, str | None, str, str | None]:
    """Download from the hub; returns the file, and the licence, the commit and the file's checksum that it states."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise BackendError(f"{address} needs huggingface_hub.", 'Run: pip install "edge-meta[hub]"') from None
    owner, _, rest = address.removeprefix("hf://").partition("/")
    repository, _, path = rest.partition("/")
    repository, _, wanted = repository.partition("@")
    if not path:
        raise ExportError(f"{address} names no file.", "Give hf://OWNER/REPOSITORY/PATH.")
    name, hub = f"{owner}/{repository}", HfApi(endpoint=endpoint)
    try:
        info = hub.model_info(name, revision=wanted or "main", files_metadata=True)
        file = next((each for each in info.siblings or [] if each.rfilename == path), None)
        if file is None:
            listed = ", ".join(each.rfilename for each in (info.siblings or [])[:20])
            raise ExportError(f"{name} has no file {path}.", f"It has {listed or 'none'}.")
        fetched = Path(hub.hf_hub_download(name, path, revision=info.sha, local_dir=folder))
    except ExportError:
        raise
    # The hub's library raises errors of its own, and of several networking libraries.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(f"{address} cannot be fetched ({reason}).", "Check the address and the network.") from None
    licence = info.card_data.get("license") if info.card_data else None
    return fetched, None if licence is None else str(licence), str(info.sha), file.lfs.sha256 if file.lfs else None


def _from_web(address: str, path: Path) -> Path:
    try:
        with urllib.request.urlopen(address, timeout=60) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
            length = response.headers.get("Content-Length")
            if length is not None and file.tell() != int(length):
                raise OSError(f"it ended after {file.tell()} of {length} bytes")
    except (OSError, HTTPException, ValueError) as error:
        raise ExportError(f"{address} cannot be fetched ({error}).", "Check the address and the network.") from None
    return path


def _checksum(file: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while chunk := file.read(CHUNK):
        sha.update(chunk)
    return sha.hexdigest()
