"""Make the target web: a folder that any static host serves, with a page that enrolls and classifies in the browser.

It holds the encoder, LiteRT.js, which runs it, and the page, and loads nothing from elsewhere. LiteRT.js runs the bundle's
file as it is, given static shapes and float32 input and output, which are checked.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from converters.targets.base import TargetFiles
from converters.targets.web.esbuild import bundled
from converters.targets.web.litert_js import LiteRtJs
from converters.tflite.model import parse
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MODEL, Bundle
from edge_meta.store.archive import write_archive

PAGE = Path(__file__).parent / "page"
SEED_ARCHIVE = "seed.npz"
COMPRESSED = (".tflite", ".wasm", ".js", ".css", ".html")  # beside the files as they are, for hosts that send such

USAGE = """\
## In a browser

This folder is a page that enrolls and classifies. Serve it on this machine with

```console
$ edge-meta serve FOLDER
```

or put it on any static host with HTTPS. After the first visit it works without a network.
"""


def make(bundle: Bundle, on_note: Callable[[str], None], litert_js: LiteRtJs | None = None) -> TargetFiles:
    """Put the page and LiteRT.js beside the encoder.

    Args:
        litert_js: where the library is taken from; npm and the user's cache unless given.

    Raises:
        ExportError: LiteRT.js cannot run the file, or is not to be had.
    """
    check_file(bundle.model)
    files = {MODEL: bundle.model, **{path.name: path.read_bytes() for path in sorted(PAGE.iterdir())}}
    source = litert_js or LiteRtJs()
    files |= source.read()
    try:
        files = bundled(files, source.read_esbuild())
    except ExportError as error:
        on_note(f"The page's scripts are twice as large as esbuild makes them. {error.cause} {error.remedy}")
    if bundle.seed:
        files[SEED_ARCHIVE] = _seed_archive(bundle)
    files["files.js"] = list_of_files(files)
    files |= {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items() if name.endswith(COMPRESSED)}
    return TargetFiles(files, {}, USAGE)


def list_of_files(files: Mapping[str, bytes]) -> bytes:
    """The script by which the service worker knows what to keep, and when a newer site is there."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    # A visit needs one of the builds, which is kept once it is loaded.
    kept = sorted({*files, "manifest.json"} - {name for name in files if name.endswith((".wasm", "_internal.js"))})
    return f"self.SITE = {json.dumps({'version': digest.hexdigest()[:16], 'files': kept})};\n".encode()


def _seed_archive(bundle: Bundle) -> bytes:
    """The store that the bundle ships with, as the page reads it."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / SEED_ARCHIVE
        with bundle.open_store(Path(scratch) / "seed.db") as store:
            write_archive(store, archive)
        return archive.read_bytes()


def check_file(content: bytes) -> None:
    """Raises ExportError when a shape is open, an input or output is not float32, or an operator is not TFLite's own."""
    model = parse(content)
    if any(code.customCode for code in model.operatorCodes):
        raise ExportError("The file needs operators that LiteRT.js does not have.", "Use an encoder of other layers.")
    for graph in model.subgraphs:
        name = (graph.name or b"").decode() or "the encoder"
        for tensor in graph.tensors:
            signature = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
            if signature is not None and any(size < 0 for size in signature):
                raise ExportError(f"{name} has shapes that are not static.", "Export it with a batch of one image.")
        for index in (*graph.inputs, *graph.outputs):
            if graph.tensors[index].type != schema.TensorType.FLOAT32:
                raise ExportError(f"{name} does not take and give float32.", "Export it with float32 ends.")
