"""Downloads: whole or not at all, used as they are once they are there, and refused with a remedy without a network."""

from __future__ import annotations

import http.server
import io
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from edge_meta.datasets import cache
from edge_meta.errors import DatasetError

URL = "https://example.org/set.zip"


class Response(io.BytesIO):
    """A stand-in for the result of urlopen, without a network; of no announced length."""

    headers: ClassVar[dict[str, str]] = {}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_META_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_environment_names_the_folder_else_the_cache_does(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.folder() == data
    for unset in ("", None):
        monkeypatch.setenv("EDGE_META_DATA", "") if unset == "" else monkeypatch.delenv("EDGE_META_DATA")
        assert cache.folder() == Path.home() / ".cache" / "edge_meta"


def test_an_archive_that_is_there_is_used_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "set").mkdir(parents=True)
    (data / "set" / "set.zip").write_bytes(b"mine")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("it was downloaded"))
    assert cache.fetch("set", "set/set.zip", URL).read_bytes() == b"mine"


def test_a_download_appears_whole_and_under_its_name_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(Response):
        def read(self, *size: int) -> bytes:
            assert not (data / "set" / "set.zip").exists(), "it was there before all of it was"
            return super().read(*size)

    asked = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: asked.append(url) or Watched(b"content"))
    path = cache.fetch("set", "set/set.zip", URL)
    assert (asked, path, path.read_bytes()) == ([URL], data / "set" / "set.zip", b"content")
    assert files(data) == [path]


def test_a_download_has_the_permissions_that_the_umask_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Response(b"content"))
    before = os.umask(0o022)
    try:
        assert cache.fetch("set", "set/set.zip", URL).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_without_a_network_the_error_names_path_url_and_remedy(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, timeout: float) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(DatasetError) as caught:
        cache.fetch("set", "set/set.zip", URL)
    for part in (str(data / "set" / "set.zip"), URL, "not known", "Connect to the network", "EDGE_META_DATA", "set/set.zip"):
        assert part in str(caught.value)
    assert files(data) == []


@pytest.mark.parametrize("breakage", [ConnectionResetError("reset"), TimeoutError("timed out")])
def test_a_download_that_breaks_in_the_middle_leaves_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch, breakage: OSError
) -> None:
    class Broken(Response):
        def read(self, *size: int) -> bytes:
            if self.tell():
                raise breakage
            return super().read(3)

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken(b"content"))
    with pytest.raises(DatasetError, match=str(breakage)):
        cache.fetch("set", "set/set.zip", URL)
    assert files(data) == []


def test_ctrl_c_during_a_download_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Response):
        def read(self, *size: int) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Interrupted(b"content"))
    with pytest.raises(KeyboardInterrupt):
        cache.fetch("set", "set/set.zip", URL)
    assert files(data) == []


class Truncating(http.server.BaseHTTPRequestHandler):
    """Promises 1,000 bytes and hangs up after 100, as a proxy or a failing line does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3e8\r\n" + b"a" * 100)
        else:
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"a" * 100)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def truncating_server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Truncating) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["plain", "chunked"])
def test_a_download_that_ends_before_its_length_is_no_download(data: Path, truncating_server: str, kind: str) -> None:
    with pytest.raises(DatasetError):
        cache.fetch("set", "set/set.zip", f"{truncating_server}/{kind}")
    assert files(data) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(data: Path) -> None:
    data.write_text("a file stands where the folder should be")
    with pytest.raises(DatasetError, match=r"set is not at .* EDGE_META_DATA"):
        cache.fetch("set", "set/set.zip", URL)
