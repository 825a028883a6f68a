"""Check that two machines give the same embeddings, and the same prototypes of the same shots.

    python benchmarks/agreement.py record FILE [BUNDLE]      on the one
    python benchmarks/agreement.py compare FILE [BUNDLE]     on the other, with the same interpreter

Print one line of JSON. The images are the fixed pseudo-random ones of `edge-meta inspect --runtime`, embedded without
XNNPACK. `steps` is the largest difference of a value in quantization steps; `within_step` is the fraction of values at most
one step apart, `equal` the fraction of equal ones. The first machine's embeddings are enrolled on both machines. All that
classifying reads from the store must be equal bit for bit, also from the first machine's store, copied to the second. Exit
with 1 if it is not, if a value differs by more than `STEPS`, or if fewer than `WITHIN` of them lie within one step.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_meta.runtime.backend_comparison import synthetic_embeddings
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.graph_check import output_step
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.store.reader import Snapshot
from edge_meta.store.store import Store
from edge_meta.types import Array

# Kernels of two kinds of CPU may round an operator's result to neighbouring steps, and the operators after it carry that on.
STEPS, WITHIN = 2, 0.99
SHOTS = 4


@click.group()
def main() -> None:
    """Record one machine's results, and compare another machine with it."""


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("bundle", default="omniglot")
def record(file: Path, bundle: str) -> None:
    """Write this machine's results with BUNDLE into FILE."""
    opened = Bundle.open(bundle)
    embeddings, ran = embed(opened)
    store, snapshot = enrolled(opened, embeddings)
    with file.open("wb") as output:
        arrays: dict[str, Any] = {"store": np.frombuffer(store, np.uint8), **parts(snapshot)}
        np.savez(output, embeddings=embeddings, ran=json.dumps(ran), **arrays)
    print(json.dumps(ran))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("bundle", default="omniglot")
def compare(file: Path, bundle: str) -> None:
    """Compare this machine's results with BUNDLE with those that another one wrote into FILE."""
    opened = Bundle.open(bundle)
    embeddings, ran = embed(opened)
    with np.load(file) as recorded:
        there = {name: recorded[name] for name in recorded.files}
    step = output_step(opened.model)
    assert step is not None, "the embedding is not quantized"
    steps = np.rint(np.abs(embeddings - there["embeddings"]) / step)  # float32 rounds the multiples of a step
    _, again = enrolled(opened, there["embeddings"])
    result: dict[str, Any] = {
        "there": json.loads(str(there["ran"])),
        "here": ran,
        "values": steps.size,
        "steps": int(steps.max()),
        "within_step": round(float((steps <= 1).mean()), 5),
        "equal": round(float((steps == 0).mean()), 5),
        "same_prototypes": same(parts(again), there),
        "same_from_its_store": same(parts(copied(opened, there["store"].tobytes())), there),
    }
    print(json.dumps(result))
    near = result["steps"] <= STEPS and result["within_step"] >= WITHIN
    sys.exit(0 if near and result["same_prototypes"] and result["same_from_its_store"] else 1)


def embed(bundle: Bundle) -> tuple[Array, dict[str, str]]:
    """Return the embeddings (n, D), and the machine and backend that they come from."""
    encoder = open_encoder(bundle, RuntimeOptions(xnnpack=False))
    return synthetic_embeddings(bundle, encoder), {"machine": platform.machine(), "backend": encoder.backend}


def enrolled(bundle: Bundle, embeddings: Array) -> tuple[bytes, Snapshot]:
    """Return a closed store of the embeddings, four shots a label, and what classifying reads from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with Store(path, bundle.manifest.encoder_id, bundle.manifest.dim) as store:
            for first in range(0, len(embeddings), SHOTS):
                store.enroll(f"label {first // SHOTS}", embeddings[first : first + SHOTS])
            snapshot = store.snapshot()
        return path.read_bytes(), snapshot


def copied(bundle: Bundle, store: bytes) -> Snapshot:
    """Return what classifying reads from a store that was made elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        path.write_bytes(store)
        with Store(path, bundle.manifest.encoder_id, bundle.manifest.dim) as opened:
            return opened.snapshot()


def parts(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    return {"counts": snapshot.counts, "prototypes": snapshot.prototypes, "scatters": snapshot.scatters}


def same(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return all(values.tobytes() == other[name].tobytes() for name, values in one.items())


if __name__ == "__main__":
    main()
