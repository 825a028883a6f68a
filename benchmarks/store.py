"""How fast a large store is: opening it, classifying against it, enrolling into it.

    python benchmarks/store.py [BUNDLE] [--json]

10,000 labels of 64 values with 5 shots each. `open_ms`: `Store(...)` and `snapshot()`, median. `classify`: ranking the top 3
of all labels for one embedding, timed in turn with NumPy's product of the same matrix and vector on one thread; `gb_per_s`
counts the matrix once. `enroll`: one more shot of one label by `Classifier.enroll`, into a store of as many labels at the
bundle's size, timed in turn with embedding alone and with appending the same bytes (label and embedding) to a file and
fdatasync; `ratio_to_append` is of what is left after embedding, and should stay below 3.
"""

from __future__ import annotations

import os

# Else NumPy's product waits for threads, which on a busy machine is what would be measured.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from edge_meta import Classifier
from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.machine import host
from edge_meta.store.database import Database
from edge_meta.store.store import Store
from edge_meta.store.writer import Writer

LABELS, DIM, SHOTS = 10_000, 64, 5
OPENINGS, QUERIES, ENROLLS = 15, 1000, 300


def fill(path: Path, encoder_id: str, dim: int) -> None:
    """A store of random shots, all written in one transaction."""
    rng = np.random.default_rng(0)
    with closing(Database(path, encoder_id, dim)) as database, database.change(create=True):
        writer = Writer(database, dim)
        (origin,) = writer.row("SELECT origin FROM store")
        for label in range(LABELS):
            log_id = writer.log("enroll", "WHERE 0")
            shots = (rng.normal(size=dim) + rng.normal(scale=0.3, size=(SHOTS, dim))).astype(np.float32)
            writer.add(writer.new_label(f"label {label}"), origin, shots, log_id)


def opening(path: Path) -> float:
    """Median seconds until the snapshot is there."""

    def snapshot() -> None:
        with Store(path, "benchmark", DIM) as store:
            assert len(store.snapshot().labels) == LABELS

    return statistics.median(seconds(snapshot) for _ in range(OPENINGS))


def classifying(path: Path) -> dict[str, float]:
    with Store(path, "benchmark", DIM) as store:
        snapshot = store.snapshot()
    head, prototypes = ScoringHead(snapshot), snapshot.prototypes.copy()
    rng = np.random.default_rng(1)
    ours, product = [], []
    for _ in range(QUERIES):
        query = prototypes[rng.integers(LABELS)] + rng.normal(scale=0.3, size=DIM).astype(np.float32)
        product.append(seconds(lambda query=query: prototypes @ query))
        ours.append(seconds(lambda query=query: head.rank(query, 3)))
    rank, plain = statistics.median(ours), statistics.median(product)
    return {
        "rank_us": round(1e6 * rank, 1),
        "product_us": round(1e6 * plain, 1),
        "ratio_to_product": round(rank / plain, 2),
        "gb_per_s": round(prototypes.nbytes / rank / 1e9, 1),
    }


def enrolling(bundle: Bundle, folder: Path) -> dict[str, float]:
    manifest = bundle.manifest
    fill(folder / "enroll.db", manifest.encoder_id, manifest.dim)
    image = np.random.default_rng(0).integers(0, 256, manifest.input_spec.shape, np.uint8)
    whole, embed, append = [], [], []
    with Classifier.load(bundle, folder / "enroll.db") as classifier, (folder / "appended").open("ab", buffering=0) as file:
        record = b"label 77" + classifier.embed(image).tobytes()

        def append_record() -> None:
            file.write(record)
            os.fdatasync(file.fileno())

        for _ in range(ENROLLS):
            append.append(seconds(append_record))
            embed.append(seconds(lambda: classifier.embed(image)))
            whole.append(seconds(lambda: classifier.enroll("label 77", image[None])))
    enroll, embedding, appending = map(statistics.median, (whole, embed, append))
    return {
        "enroll_us": round(1e6 * enroll, 1),
        "embed_us": round(1e6 * embedding, 1),
        "append_us": round(1e6 * appending, 1),
        "ratio_to_append": round((enroll - embedding) / appending, 2),
    }


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    bundle = Bundle.open(arguments[0] if arguments else "omniglot")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "store.db", "benchmark", DIM)
        result = {
            "open_ms": round(1e3 * opening(folder / "store.db"), 1),
            "classify": classifying(folder / "store.db"),
            "enroll": enrolling(bundle, folder),
            "labels": LABELS,
            "shots": LABELS * SHOTS,
            "host": host(),
        }
    print(json.dumps(result, indent=None if "--json" in sys.argv else 1))


if __name__ == "__main__":
    main()
