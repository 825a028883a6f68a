"""What a durable change costs in SQLite's journal modes, against a bare append that is as durable.

    python benchmarks/durability.py [FOLDER]

Each mode has its store of 20 labels of 5 shots (112 values) in FOLDER (default: where temporary files go), and each round
enrolls one shot, adapts, undoes it and forgets the label, in every mode in turn. `append_us` is the median time to append
the same shot's bytes to a file and sync them (fdatasync), in the same rounds; `ratios` are to it. By SQLite's
documentation all these modes are durable when a change returns.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_meta.store.store import Store

ROUNDS, LABELS, SHOTS, DIM = 200, 20, 5, 112
MODES = {
    "wal_full": (),  # as the store does it
    "wal_extra": ("journal_mode = WAL", "synchronous = EXTRA"),
    "truncate_full": ("journal_mode = TRUNCATE", "synchronous = FULL"),
    "truncate_extra": ("journal_mode = TRUNCATE", "synchronous = EXTRA"),
    "delete_extra": ("journal_mode = DELETE", "synchronous = EXTRA"),
}


def taught(path: Path, pragmas: tuple[str, ...]) -> Store:
    store = Store(path, "0" * 32, DIM)
    rng = np.random.default_rng(0)
    for label in range(LABELS):
        store.enroll(str(label), rng.normal(size=(SHOTS, DIM)).astype("f4"))
    for pragma in pragmas:
        store.database.query(f"PRAGMA {pragma}")
    return store


def adapt(store: Store) -> None:
    with store.adapting() as change:
        prototypes = change.snapshot.prototypes
        change.replace_head(2 * prototypes.T, -np.square(prototypes).sum(axis=1))


def seconds(change: Callable[[], object]) -> float:
    start = time.perf_counter()
    change()
    return time.perf_counter() - start


def main() -> None:
    shot = np.random.default_rng(1).normal(size=(1, DIM)).astype("f4")
    appends: list[float] = []
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        stores = {mode: taught(Path(folder) / f"{mode}.db", pragmas) for mode, pragmas in MODES.items()}
        times: dict[str, dict[str, list[float]]] = {mode: {} for mode in MODES}
        with open(Path(folder) / "appended", "ab", buffering=0) as file:

            def append() -> None:
                file.write(shot.tobytes())
                os.fdatasync(file.fileno())

            for _ in range(ROUNDS):
                appends.append(seconds(append))
                for mode, store in stores.items():
                    changes = {
                        "enroll": lambda store=store: store.enroll("new", shot),
                        "adapt": lambda store=store: adapt(store),
                        "undo": store.undo,
                        "forget": lambda store=store: store.forget("new"),
                    }
                    for name, change in changes.items():
                        times[mode].setdefault(name, []).append(seconds(change))
        for store in stores.values():
            store.close()
    bare = statistics.median(appends)
    medians = {mode: {name: statistics.median(each) for name, each in kinds.items()} for mode, kinds in times.items()}
    result = {
        "append_us": round(1e6 * bare, 1),
        "medians_us": {mode: {name: round(1e6 * each, 1) for name, each in of.items()} for mode, of in medians.items()},
        "ratios": {mode: {name: round(each / bare, 2) for name, each in of.items()} for mode, of in medians.items()},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
