"""Time durable changes of a store in SQLite's journal modes, against a bare append that is as durable.

    python benchmarks/durability.py [FOLDER]

Print JSON. Each mode has its store of 20 labels of 5 shots (112 values) in FOLDER (default: where temporary files go), and
each round enrolls one shot, adapts, undoes it and forgets the label, in every mode in turn. `append_us` is the median time
to append the same shot's bytes to a file and sync them (fdatasync), in the same rounds; `ratios` are to it. By SQLite's
documentation all these modes are durable when a change returns.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from edge_meta.benchmarking.timing import Work, median_seconds
from edge_meta.store.store import Store
from edge_meta.types import Array

ROUNDS, LABELS, SHOTS, DIM = 200, 20, 5, 112
APPEND = ("", "append")
MODES: dict[str, tuple[str, ...]] = {
    "wal_full": (),  # as the store does it
    "wal_extra": ("journal_mode = WAL", "synchronous = EXTRA"),
    "truncate_full": ("journal_mode = TRUNCATE", "synchronous = FULL"),
    "truncate_extra": ("journal_mode = TRUNCATE", "synchronous = EXTRA"),
    "delete_extra": ("journal_mode = DELETE", "synchronous = EXTRA"),
}


def enrolled(path: Path, pragmas: tuple[str, ...]) -> Store:
    """Make a store in a journal mode."""
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


def changes(mode: str, store: Store, shot: Array) -> dict[tuple[str, str], Work]:
    """Return the changes of a round, in their order."""
    return {
        (mode, "enroll"): partial(store.enroll, "new", shot),
        (mode, "adapt"): partial(adapt, store),
        (mode, "undo"): store.undo,
        (mode, "forget"): partial(store.forget, "new"),
    }


def by_mode(figures: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    return {mode: {name: figures[key, name] for key, name in figures if key == mode} for mode in MODES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    shot = np.random.default_rng(1).normal(size=(1, DIM)).astype("f4")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        stores = {mode: enrolled(Path(folder) / f"{mode}.db", pragmas) for mode, pragmas in MODES.items()}
        with open(Path(folder) / "appended", "ab", buffering=0) as file:

            def append() -> None:
                file.write(shot.tobytes())
                os.fdatasync(file.fileno())

            works: dict[tuple[str, str], Work] = {APPEND: append}
            for mode, store in stores.items():
                works |= changes(mode, store, shot)
            medians = median_seconds(works, ROUNDS)
        for store in stores.values():
            store.close()
    bare = medians.pop(APPEND)
    result = {
        "append_us": round(1e6 * bare, 1),
        "medians_us": by_mode({key: round(1e6 * median, 1) for key, median in medians.items()}),
        "ratios": by_mode({key: round(median / bare, 2) for key, median in medians.items()}),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
