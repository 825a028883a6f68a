"""Random histories of a store, each with hundreds of labels, and a search of its files for bytes of what they removed.

    PYTHONPATH=tests python tests/device/store/removal_histories.py HISTORIES [FIRST]

Prints what was found, and exits with 1 if that is anything. test_removed_bytes.py runs some of them; `make histories` runs
many.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.removed_bytes import left_of

from edge_meta.errors import LabelError
from edge_meta.store.store import Store
from edge_meta.types import Array

CHANGES = {"forget": 0.4, "forget shot": 0.25, "undo": 0.05, "enroll": 0.22, "merge": 0.03, "adapt": 0.03, "reopen": 0.02}


class History:
    """A store that goes through random changes.

    Attributes:
        store: None until it is opened.
        seen: each label, embedding, sum and column that was in the store, or may have been.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.rng = path, np.random.default_rng(seed)
        self.dim = int(self.rng.choice([16, 64]))
        self.keep_shots = bool(self.rng.random() < 0.6)
        self.seen: set[bytes] = set()
        self.store = self.opened(path)

    def opened(self, path: Path) -> Store:
        return Store(path, "0123456789abcdef" * 2, self.dim, keep_shots=self.keep_shots)

    def live(self) -> set[bytes]:
        """The labels, embeddings, sums and columns that are in the store."""
        with closing(sqlite3.connect(self.path)) as rows:
            asked = ("label FROM labels", "embedding FROM shots", "sum FROM sums", "sum FROM log_sums")
            asked += ("weights FROM columns", "weights FROM log_columns")
            values = [value for what in asked for (value,) in rows.execute(f"SELECT {what}")]
        return {value.encode() if isinstance(value, str) else value for value in values}

    def enroll(self, label: str) -> None:
        shots: Array = self.rng.normal(size=(int(self.rng.integers(1, 4)), self.dim)).astype("f4")
        self.store.enroll(label, shots)
        self.seen |= {label.encode(), *(shot.tobytes() for shot in shots)}
        with self.store.everything() as rows:
            of_label = rows.query("SELECT sum FROM sums JOIN labels ON labels.id = label_id WHERE label = ?", (label,))
            self.seen |= {value for (value,) in of_label}

    def enroll_new(self) -> None:
        self.enroll("label " + self.rng.bytes(int(self.rng.integers(12, 300))).hex())

    def change(self) -> None:
        """One change, drawn at random."""
        what, labels = str(self.rng.choice(list(CHANGES), p=list(CHANGES.values()))), self.store.snapshot().labels
        if not labels:
            self.enroll_new()
            return
        label = labels[int(self.rng.integers(len(labels)))]
        if what == "enroll":
            self.enroll(label) if self.rng.random() < 0.5 else self.enroll_new()
        elif what == "undo":
            with suppress(LabelError):
                self.store.undo()
        elif what == "merge":
            self.merge()
        elif what == "reopen":
            self.store.close()
            self.store = self.opened(self.path)
        elif what == "adapt" and self.keep_shots:
            with self.store.adapting() as change:
                shape = change.snapshot.prototypes.T.shape
                change.replace_head(self.rng.normal(size=shape), self.rng.normal(size=shape[1]))
            self.seen |= {weights.tobytes() for weights, _ in self.store.snapshot().columns.values()}
        elif what == "forget shot" and self.keep_shots:
            shots = self.store.shots()
            label, shot, _ = shots[int(self.rng.integers(len(shots)))]
            self.store.forget(label, shot)
        else:
            self.store.forget(label)

    def merge(self) -> None:
        """Merge with a copy that has forgotten some labels."""
        self.store.close()
        other = self.path.with_name("other.db")
        shutil.copy(self.path, other)
        self.store = self.opened(self.path)
        with self.opened(other) as copy:
            for label in copy.snapshot().labels[::20]:
                copy.forget(label)
        self.store.merge(other)
        other.unlink()

    def age(self) -> None:
        """Make the file one of format 2 that holds bytes of labels that were removed without any care."""
        self.store.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("DELETE FROM labels WHERE id % 7 = 0")
            connection.execute("DROP TABLE scrubs")
            connection.execute("DROP TABLE log_renames")
            connection.execute("PRAGMA user_version = 2")
        assert self.left() > 0
        self.store = self.opened(self.path)

    def left(self) -> int:
        """Count the pieces of what was seen that are in the files and not in the store."""
        content = b"\xff".join(file.read_bytes() for file in sorted(self.path.parent.iterdir()) if file.is_file())
        return len(left_of(self.seen, self.live(), content))


def run(folder: Path, seed: int) -> int:
    """Run one history in an empty folder; return how many pieces of removed data are in its files."""
    history = History(folder / "store.db", seed)
    for _ in range(int(history.rng.integers(100, 300))):
        history.enroll_new()
    found = 0
    if history.rng.random() < 0.2:
        history.age()
        found += history.left()
    for _ in range(int(history.rng.integers(30, 150))):
        history.change()
    history.enroll_new()
    history.store.forget(history.store.snapshot().labels[0])
    found += history.left()
    history.store.close()
    return found


def main() -> None:
    count, first = [*map(int, sys.argv[1:]), 0][:2]
    found = 0
    for seed in range(first, first + count):
        with TemporaryDirectory() as folder:
            left = run(Path(folder), seed)
        if left:
            print(f"history {seed}: {left} pieces of removed data", flush=True)
        found += left
        if (done := seed - first + 1) % 50 == 0:
            print(f"{done} of {count} histories", file=sys.stderr, flush=True)
    print(f"{count} histories: {found} pieces of removed data")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
