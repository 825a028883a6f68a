"""Time a large store: opening it, classifying against it, enrolling into it, forgetting a label of it.

    python benchmarks/store.py [BUNDLE] [--json]

Print JSON, of 10,000 labels of 64 values with 5 shots each. `open_ms`: `Store(...)` and `snapshot()`, median. `classify`:
ranking the top 3 of all labels for one embedding, timed in turn with NumPy's product of the same matrix and vector on one
thread; `gb_per_s` counts the matrix once. `enroll`: one more shot of one label by `Classifier.enroll`, into a store of as
many labels at the bundle's size, timed in turn with embedding alone and with appending the same bytes (label and embedding)
to a file and fdatasync; `ratio_to_append` is of what is left after embedding, and should stay below 3. `forget_ms`:
forgetting one label, which writes the whole file anew, median.
"""

from __future__ import annotations

import os

# On a busy machine NumPy's product would wait for its threads, and that would be measured.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import tempfile
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from edge_meta import Classifier
from edge_meta.benchmarking.timing import Work, median_seconds
from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.machine import host
from edge_meta.store.database import Database
from edge_meta.store.store import Store
from edge_meta.store.writer import Writer

LABELS, DIM, SHOTS = 10_000, 64, 5
OPENINGS, QUERIES, ENROLLS, FORGETS = 15, 1000, 300, 15


def fill(path: Path, encoder_id: str, dim: int) -> None:
    """Write a store of random shots, in one transaction."""
    rng = np.random.default_rng(0)
    with closing(Database(path, encoder_id, dim)) as database, database.change(create=True):
        writer = Writer(database, dim)
        (origin,) = writer.row("SELECT origin FROM store")
        for label in range(LABELS):
            log_id = writer.log("enroll", "WHERE 0")
            shots = (rng.normal(size=dim) + rng.normal(scale=0.3, size=(SHOTS, dim))).astype(np.float32)
            writer.add(writer.new_label(f"label {label}"), origin, shots, log_id)


def opening(path: Path) -> float:
    """Return the median seconds until the snapshot is there."""

    def snapshot() -> None:
        with Store(path, "benchmark", DIM) as store:
            assert len(store.snapshot().labels) == LABELS

    return median_seconds({"open": snapshot}, OPENINGS)["open"]


def classifying(path: Path) -> dict[str, float]:
    """Time ranking three of all labels, and the product with their prototypes, on the same queries."""
    with Store(path, "benchmark", DIM) as store:
        snapshot = store.snapshot()
    head, prototypes = ScoringHead(snapshot), snapshot.prototypes.copy()
    rng = np.random.default_rng(1)
    noise = rng.normal(scale=0.3, size=(QUERIES, DIM)).astype(np.float32)
    queries = prototypes[rng.integers(LABELS, size=QUERIES)] + noise
    to_multiply, to_rank = cycle(queries), cycle(queries)
    works = {"product": lambda: prototypes @ next(to_multiply), "rank": lambda: head.rank(next(to_rank), 3)}
    medians = median_seconds(works, QUERIES)
    rank, plain = medians["rank"], medians["product"]
    return {
        "rank_us": round(1e6 * rank, 1),
        "product_us": round(1e6 * plain, 1),
        "ratio_to_product": round(rank / plain, 2),
        "gb_per_s": round(prototypes.nbytes / rank / 1e9, 1),
    }


def enrolling(bundle: Bundle, folder: Path) -> dict[str, float]:
    """Time enrolling one shot, embedding alone, and an append of as many bytes that is as durable."""
    manifest = bundle.manifest
    fill(folder / "enroll.db", manifest.encoder_id, manifest.dim)
    image = np.random.default_rng(0).integers(0, 256, manifest.input_spec.shape, np.uint8)
    with Classifier.load(bundle, folder / "enroll.db") as classifier, (folder / "appended").open("ab", buffering=0) as file:
        record = b"label 77" + classifier.embed(image).tobytes()

        def append_record() -> None:
            file.write(record)
            os.fdatasync(file.fileno())

        works: dict[str, Work] = {
            "append": append_record,
            "embed": partial(classifier.embed, image),
            "enroll": partial(classifier.enroll, "label 77", image[None]),
        }
        medians = median_seconds(works, ENROLLS)
    enroll, embedding, appending = medians["enroll"], medians["embed"], medians["append"]
    return {
        "enroll_us": round(1e6 * enroll, 1),
        "embed_us": round(1e6 * embedding, 1),
        "append_us": round(1e6 * appending, 1),
        "ratio_to_append": round((enroll - embedding) / appending, 2),
    }


def forgetting(path: Path) -> float:
    """Return the median seconds of forgetting a label."""
    with Store(path, "benchmark", DIM) as store:
        labels = iter(store.snapshot().labels)
        return median_seconds({"forget": lambda: store.forget(next(labels))}, FORGETS)["forget"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="omniglot")
    parser.add_argument("--json", action="store_true", help="print one line")
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "store.db", "benchmark", DIM)
        result = {
            "open_ms": round(1e3 * opening(folder / "store.db"), 1),
            "classify": classifying(folder / "store.db"),
            "enroll": enrolling(bundle, folder),
            "forget_ms": round(1e3 * forgetting(folder / "store.db"), 1),
            "labels": LABELS,
            "shots": LABELS * SHOTS,
            "host": host(),
        }
    print(json.dumps(result, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
