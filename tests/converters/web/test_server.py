"""`edge-meta serve`: what it sends, and to whom."""

from __future__ import annotations

import gzip
import http.client
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.device import python
from support.web import library

from converters.targets import export_target
from converters.targets.web.server import HEADERS, Access, Server
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import Bundle

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("made")
    return export_target(Bundle.open("omniglot"), folder / "site", "web", litert_js=library(folder))


@contextmanager
def running(server: Server) -> Iterator[Server]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def answer(server: Server, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    address = urlsplit(server.address)
    port = address.port or 0
    if address.scheme == "https":
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=unchecked, timeout=20
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    found = connection.getresponse()
    content = found.read()
    connection.close()
    return found.status, found.headers, content


def test_the_loopback_serves_the_files_of_the_manifest_alone(site: Bundle) -> None:
    (site.path / "private.txt").write_text("secret")
    with running(Server(site)) as server:
        assert server.address.startswith("http://localhost:")
        status, headers, content = answer(server, "/")
        assert (status, content) == (200, (site.path / "index.html").read_bytes())
        assert all(headers[name] == value for name, value in HEADERS.items())
        for path in ("/private.txt", "/../manifest.json", "/%2e%2e/x", "//etc/passwd", "/nothing.js"):
            assert answer(server, path)[0] == 404
    (site.path / "private.txt").unlink()


def test_large_files_are_sent_compressed_to_who_takes_them(site: Bundle) -> None:
    with running(Server(site)) as server:
        path = "/litert_wasm_internal.wasm"
        _, plain, content = answer(server, path)
        _, packed, compressed = answer(server, path, **{"Accept-Encoding": "br, gzip"})
    assert (plain["Content-Type"], plain["Content-Encoding"]) == ("application/wasm", None)
    assert (packed["Content-Type"], packed["Content-Encoding"]) == ("application/wasm", "gzip")
    assert gzip.decompress(compressed) == content == (site.path / path[1:]).read_bytes()


@needs_openssl
def test_other_devices_need_https_and_a_code_that_is_good_once(site: Bundle) -> None:
    with running(Server(site, "0.0.0.0")) as server:
        assert server.address.startswith("https://0.0.0.0:")
        asked = urlsplit(server.address)
        assert answer(server, "/")[0] == 403
        assert answer(server, "/?code=wrong")[0] == 403
        status, headers, _ = answer(server, f"/?{asked.query}")
        assert status == 303
        cookie = headers["Set-Cookie"].split(";")[0]
        assert {"HttpOnly", "Secure", "SameSite=Strict"} <= {part.strip() for part in headers["Set-Cookie"].split(";")}
        assert answer(server, "/", Cookie=cookie)[0] == 200
        assert answer(server, "/", Cookie="edge_meta=other")[0] == 403
        assert answer(server, f"/?{asked.query}")[0] == 403


def test_a_code_is_used_up_by_its_first_use() -> None:
    access = Access(guarded=True)
    code = str(access.code)
    cookie = access.cookie_for(code)
    assert cookie is not None
    assert access.admits(cookie)
    assert access.cookie_for(code) is None
    assert not access.admits("")


def test_only_a_site_is_served(site: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is no export for the web"):
        Server(Bundle.open("omniglot"))
    with Server(site) as server, pytest.raises(ExportError, match="cannot be listened to"):
        Server(site, port=server.server_address[1])
    zipped = export_target(Bundle.open("omniglot"), tmp_path / "site.zip", "web", litert_js=library(tmp_path))
    with pytest.raises(ExportError, match="is an archive"):
        Server(zipped)


def test_the_command_prints_the_address_and_serves(site: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_meta", "serve", str(site.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(address).port or 0, timeout=20)
        connection.request("GET", "/manifest.json")
        assert connection.getresponse().read() == (site.path / "manifest.json").read_bytes()
        connection.close()
        process.terminate()


def test_serving_needs_no_tensorflow(tmp_path: Path) -> None:
    code = "import sys, converters.targets.web.server; print({'tensorflow', 'keras', 'PIL'} & set(sys.modules))"
    assert python(tmp_path, "-c", code).stdout == "set()\n"
