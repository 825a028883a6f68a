"""edge-meta serve."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note
from edge_meta.runtime.bundle import Bundle


@click.command()
@click.argument("bundle", metavar="BUNDLE|SITE")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Listen on this address of the machine, for other devices."
)
@click.option("--port", default=8000, show_default=True, help="Listen on this port; 0 for a free one.")
@click.option(
    "--litert-js", metavar="FOLDER|TGZ",
    help="Where npm has installed LiteRT.js, or its archive.  [default: npm fetches it once]",
)  # fmt: skip
@json_option
def serve(bundle: str, host: str, port: int, litert_js: str | None, as_json: bool) -> None:
    """Serve the page that teaches BUNDLE in a browser, until it is interrupted.

    \b
    Examples:
      edge-meta serve objects
      edge-meta serve site/ --port 8080
      edge-meta serve objects --host 192.168.1.20

    A bundle is exported once, into the user's cache; SITE is an export with --target web. The page is for this machine
    alone, unless --host names an address that other devices reach. Then it is served by HTTPS, since browsers give cameras
    to secure pages alone, with a certificate that this command makes: browsers warn of it, and do not keep the page for use
    without a network. The address is printed with a QR code to scan, and has a code that is good once.
    """
    from converters.targets.web.qr_code import drawn, qr_code
    from converters.targets.web.server import Server, is_loopback

    site = _site(bundle, litert_js)
    server = Server(site, host, port)
    code = None if is_loopback(host) else qr_code(server.address)
    if not is_loopback(host):
        note(
            f"Everybody who reaches {host} can ask for the page; the code lets in who opens the address first. The browser "
            "warns of the certificate, which this command has made. For use without a network, serve on the device "
            "itself, or put the site on a host with a certificate that browsers know."
        )
    emit(
        {"address": server.address, "site": str(site.path)},
        as_json,
        [server.address, *(drawn(code).splitlines() if code else [])],
    )
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _site(source: str, litert_js: str | None) -> Bundle:
    """A site as it is, or a bundle's, from the cache or made anew."""
    from converters.targets import export_target
    from converters.targets.web import PAGE, esbuild
    from converters.targets.web.litert_js import VERSION, LiteRtJs

    bundle = Bundle.open(source)
    if bundle.manifest.target.get("name") == "web":
        return bundle
    digest = hashlib.sha256(f"{VERSION} {esbuild.PACKAGE.version} {bundle.manifest.to_json()}".encode())
    for path in sorted(PAGE.iterdir()):
        digest.update(path.read_bytes())
    site = Path.home() / ".cache" / "edge_meta" / "sites" / f"{bundle.name}-{digest.hexdigest()[:12]}"
    if site.exists():
        return Bundle.open(site)
    note(f"Making the page in {site}")
    return export_target(bundle, site, "web", litert_js=LiteRtJs(Path(litert_js)) if litert_js else None)
