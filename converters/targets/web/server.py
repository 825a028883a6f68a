"""Serve a site: on the loopback, or to other devices by HTTPS with a certificate of its own and a code that is good once."""

from __future__ import annotations

import ipaddress
import secrets
import shutil
import ssl
import subprocess
import tempfile
from functools import partial
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MANIFEST, Bundle

# The page says the same in a meta element, for hosts that send no headers; frame-ancestors works in a header alone.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
COOKIE = "edge_meta"
TYPES = {
    ".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".wasm": "application/wasm", ".svg": "image/svg+xml",
    ".json": "application/json", ".webmanifest": "application/manifest+json", ".png": "image/png", ".md": "text/markdown",
}  # fmt: skip


class Access:
    """Who may load the site: whoever opens it first with the code, by a cookie; all, on the loopback.

    Args:
        guarded: whether a code is asked for.
    """

    def __init__(self, guarded: bool) -> None:
        self.code = secrets.token_urlsafe(12) if guarded else None
        self._cookie = secrets.token_urlsafe(24)
        self._guarded = guarded

    def cookie_for(self, code: str) -> str | None:
        """The cookie for a code, which is then used up; None for a wrong or used one."""
        if self.code is None or not secrets.compare_digest(code.encode(), self.code.encode()):
            return None
        self.code = None
        return self._cookie

    def admits(self, cookie: str) -> bool:
        return not self._guarded or secrets.compare_digest(cookie.encode(), self._cookie.encode())


class Handler(SimpleHTTPRequestHandler):
    """Serves the files that a site's manifest names, compressed ones where they lie beside them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, names: frozenset[str], access: Access, **options: Any) -> None:
        self.names, self.access = names, access
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""

    def _answer(self, with_content: bool) -> None:
        asked = urlsplit(self.path)
        code = parse_qs(asked.query).get("code")
        if code and (cookie := self.access.cookie_for(code[0])):
            self._send(HTTPStatus.SEE_OTHER, {
                "Location": "./", "Set-Cookie": f"{COOKIE}={cookie}; HttpOnly; Secure; SameSite=Strict; Path=/",
            })  # fmt: skip
            return
        sent = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        if not self.access.admits(sent.value if sent else ""):
            self._send(HTTPStatus.FORBIDDEN, {}, b"Open the address with the code that was printed; it is good once.\n")
            return
        name = asked.path.removeprefix("/") or "index.html"
        if name not in self.names:
            self._send(HTTPStatus.NOT_FOUND, {}, b"There is no such file.\n")
            return
        path, headers = (
            Path(self.directory) / name,
            {"Content-Type": TYPES.get(Path(name).suffix, "application/octet-stream")},
        )
        if "gzip" in self.headers.get("Accept-Encoding", "") and f"{name}.gz" in self.names:
            path, headers = Path(f"{path}.gz"), headers | {"Content-Encoding": "gzip"}
        self._send(HTTPStatus.OK, headers, path.read_bytes(), with_content)

    def _send(self, status: HTTPStatus, headers: dict[str, str], content: bytes = b"", with_content: bool = True) -> None:
        self.send_response(status)
        plain = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(content))}
        for name, value in {**HEADERS, **plain, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """A server of one site.

    Args:
        site: an export for the web.
        host: an address of this machine.
        port: 0 for a free one.

    Attributes:
        address: to open in a browser, with the code where one is needed.

    Raises:
        ExportError: the site is none, the address cannot be listened to, or there is no openssl to make a certificate.
    """

    daemon_threads = True

    def __init__(self, site: Bundle, host: str = "127.0.0.1", port: int = 0) -> None:
        if site.manifest.target.get("name") != "web":
            raise ExportError(f"{site.path} is no export for the web.", "Make one: edge-meta export BUNDLE --target web")
        if not site.path.is_dir():
            raise ExportError(f"{site.path} is an archive.", "Unpack it, and serve the folder.")
        self.access = Access(guarded=not is_loopback(host))
        names = frozenset({MANIFEST, *site.manifest.files})
        try:
            super().__init__((host, port), partial(Handler, directory=str(site.path), names=names, access=self.access))
        except OSError as error:
            raise ExportError(
                f"{host}:{port} cannot be listened to ({error}).", "Choose another --port or --host."
            ) from None
        scheme, shown = "http", "localhost" if is_loopback(host) else host
        if self.access.code is not None:
            scheme = "https"
            self.socket = _context(host).wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        query = f"?code={self.access.code}" if self.access.code else ""
        self.address = f"{scheme}://{shown}:{self.server_address[1]}/{query}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: browsers hang up on certificates that they do not know."""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _context(host: str) -> ssl.SSLContext:
    """TLS with a certificate for a host, made for this run and signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ExportError(
            "There is no openssl to make a certificate, which cameras on other devices need.",
            "Install openssl, or serve on this machine alone, without --host.",
        )
    try:
        name = f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        name = f"DNS:{host}"
    with tempfile.TemporaryDirectory() as scratch:
        key, certificate = Path(scratch) / "key.pem", Path(scratch) / "certificate.pem"
        command = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ]
        files = [
            "-subj",
            "/CN=edge_meta",
            "-addext",
            f"subjectAltName={name}",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ]
        done = subprocess.run([*command, *files], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ExportError(f"openssl makes no certificate for {host} ({done.stderr.strip()[-200:]}).", "Check --host.")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    return context
