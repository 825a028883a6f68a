"""Make the target web: a bundle with a page that enrolls and classifies in the browser, with LiteRT.js.

LiteRT.js runs the bundle's file as it is, given static shapes and float32 input and output, which are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from converters.targets.base import TargetFiles
from converters.tflite.model import parse
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MODEL, Bundle

PAGE = Path(__file__).parent / "page"

USAGE = """\
## In a browser

`edge_meta.js` embeds with LiteRT.js and keeps prototypes; `index.html` shows how. In this folder:

```console
$ npm install @litertjs/core@2.5.3
$ python -m http.server --bind 127.0.0.1      # then open 127.0.0.1:8000
```
"""


def make(bundle: Bundle, on_note: Callable[[str], None]) -> TargetFiles:
    """Put a JavaScript module and a page beside the file.

    Raises:
        ExportError: LiteRT.js cannot run the file.
    """
    check_file(bundle.model)
    files = {MODEL: bundle.model, **{path.name: path.read_bytes() for path in sorted(PAGE.iterdir())}}
    return TargetFiles(files, {}, USAGE)


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
