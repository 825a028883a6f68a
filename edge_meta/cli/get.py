"""edge-meta get."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note


@click.command()
@click.argument("address", metavar="URL")
@click.option("--output", metavar="FILE", help="File to write.  [default: the address's last part, in the current folder]")
@click.option("--sha256", metavar="HEX", help="Checksum that the file must have.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@json_option
def get(address: str, output: str | None, sha256: str | None, overwrite: bool, as_json: bool) -> None:
    """Fetch a model or a bundle, and print its checksum and licence.

    \b
    Examples:
      edge-meta get hf://google/some-model/encoder.tflite
      edge-meta get hf://google/some-model@v2/encoder.tflite --output mine.tflite
      edge-meta get https://example.org/words.zip --sha256 1f2e3d4c

    URL is hf://OWNER/REPOSITORY/PATH on the Hugging Face hub, by pip install "edge-meta[hub]", or an https address. Make a
    bundle of a model with edge-meta export.
    """
    from converters.hub import fetch

    note(f"fetching {address}")
    fetched = fetch(address, output, sha256, overwrite)
    lines = [
        f"{fetched.file}: {fetched.bytes:,} bytes",
        f"SHA-256  {fetched.sha256}",
        f"licence  {fetched.licence or 'not stated: ask its maker before you ship it'}",
    ]
    if fetched.revision is not None:
        lines.append(f"commit   {fetched.revision}")
    emit(fetched.to_json(), as_json, lines)
