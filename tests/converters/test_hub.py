"""Fetching models: whole, with the right checksum, or not at all. All from a server on this machine."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.device import cli

from converters.hub import fetch
from edge_meta.errors import BackendError, ExportError

CONTENT = b"a model" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listed(name: str, sha256: str) -> dict[str, Any]:
    """A file as the hub lists it."""
    size = len(CONTENT)
    return {"rfilename": name, "size": size, "lfs": {"sha256": sha256, "size": size, "pointerSize": 134}}


INFO = {
    "id": "maker/net",
    "sha": COMMIT,
    "cardData": {"license": "apache-2.0"},
    "tags": [],
    "private": False,
    "siblings": [listed("good.tflite", SHA256), listed("bad.tflite", "0" * 64)],
}


class Handler(BaseHTTPRequestHandler):
    """A hub with one repository, which also has one file outside of it."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        content = {"/api/models/maker/net/revision/main": json.dumps(INFO).encode(), "/plain.tflite": CONTENT}.get(path)
        if path.startswith(f"/maker/net/resolve/{COMMIT}/"):
            content = CONTENT
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", '"etag"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body and content is not None:
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server of files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_of_the_web_is_fetched(server: str, tmp_path: Path) -> None:
    done = cli("get", f"{server}/plain.tflite", "--output", tmp_path / "mine.tflite", "--sha256", SHA256.upper(), "--json")
    assert (tmp_path / "mine.tflite").read_bytes() == CONTENT
    wanted = {"file": str(tmp_path / "mine.tflite"), "bytes": 7000, "sha256": SHA256, "licence": None, "revision": None}
    assert json.loads(done.stdout) == wanted


def test_a_wrong_checksum_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"has the SHA-256 {SHA256}, not 00"):
        fetch(f"{server}/plain.tflite", tmp_path / "mine.tflite", sha256="00")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(server: str, tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"older")
    with pytest.raises(ExportError, match="exists"):
        fetch(f"{server}/plain.tflite", tmp_path / "mine.tflite")
    with pytest.raises(ExportError, match="404"):
        fetch(f"{server}/missing.tflite", tmp_path / "mine.tflite", overwrite=True)
    assert (tmp_path / "mine.tflite").read_bytes() == b"older"
    fetch(f"{server}/plain.tflite", tmp_path / "mine.tflite", overwrite=True)
    assert (tmp_path / "mine.tflite").read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["model.tflite", "file:///etc/passwd", "ftp://host/x", "https://host", "hf://"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no address of a file"):
        fetch(address, tmp_path / "mine")


def test_an_open_connection_needs_a_checksum(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="may be changed on its way"):
        fetch("http://example.invalid/x.tflite", tmp_path / "mine")


def test_without_the_hubs_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BackendError, match=r'pip install "edge-meta\[hub\]"'):
        fetch("hf://maker/net/good.tflite", tmp_path / "mine")


class TestHub:
    """With huggingface_hub, of the extra `hub`."""

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("huggingface_hub")

    def test_a_file_comes_with_licence_and_commit(self, server: str, tmp_path: Path) -> None:
        fetched = fetch("hf://maker/net/good.tflite", tmp_path / "mine.tflite", endpoint=server)
        assert (fetched.licence, fetched.revision, fetched.sha256) == ("apache-2.0", COMMIT, SHA256)
        assert (tmp_path / "mine.tflite").read_bytes() == CONTENT

    def test_another_content_than_the_hub_states_is_refused(self, server: str, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="has the SHA-256"):
            fetch("hf://maker/net/bad.tflite", tmp_path / "mine.tflite", endpoint=server)
        assert not (tmp_path / "mine.tflite").exists()

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("net/no.tflite", r"has no file no\.tflite\. It has good\.tflite, bad\.tflite"),
            ("other/no.tflite", "cannot be fetched"),
            ("net", "names no file"),
        ],
    )
    def test_a_missing_file_or_repository_is_named(self, server: str, tmp_path: Path, path: str, says: str) -> None:
        with pytest.raises(ExportError, match=says):
            fetch(f"hf://maker/{path}", tmp_path / "mine.tflite", endpoint=server)
