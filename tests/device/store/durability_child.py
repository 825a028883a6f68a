"""A process that changes a store and acknowledges each change; test_durability.py kills it, or traces what it writes.

    python durability_child.py one-of-each PATH
    python durability_child.py fill FOLDER  # a small disk's
    python durability_child.py make FOLDER
    python durability_child.py serve        # a line `PATH FIRST ACKNOWLEDGED SECONDS` on stdin for each process to kill

Nothing is imported but NumPy and the store.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.store import Store

DIM, LABELS = 16, 12


def adapt(store: Store, rng: np.random.Generator) -> None:
    with store.adapting() as change:
        dim, labels = change.snapshot.prototypes.T.shape
        change.replace_head(rng.normal(size=(dim, labels)).astype("f4"), rng.normal(size=labels).astype("f4"))


def change(store: Store, number: int) -> None:
    """The change of that number: the same one in stores of the same content. A third are no enroll."""
    rng = np.random.default_rng(number)
    labels = store.snapshot().labels
    what = rng.choice(["enroll", "adapt", "undo", "forget"], p=[0.66, 0.12, 0.12, 0.1]) if labels else "enroll"
    if what == "enroll":
        drawn = rng.choice(LABELS, int(rng.integers(1, 4)), replace=False)
        store.enroll_many({f"label {each}": rng.normal(size=(int(rng.integers(1, 5)), DIM)).astype("f4") for each in drawn})
    elif what == "adapt":
        adapt(store, rng)
    elif what == "forget":
        store.forget(labels[int(rng.integers(len(labels)))])
    else:
        try:
            store.undo()
        except LabelError:  # all that could be undone has been
            store.enroll("label 0", rng.normal(size=(1, DIM)).astype("f4"))


def opened(path: str) -> Store:
    return Store(path, "0123456789abcdef" * 2, DIM)


def one_of_each(path: str) -> None:
    """Every kind of change, each acknowledged with its name."""
    rng = np.random.default_rng(0)
    shots = rng.normal(size=(3, DIM)).astype("f4")
    with opened(path) as store:
        for name, run in (
            ("create", lambda: store.enroll("alef", shots)),
            ("enroll", lambda: store.enroll("bet", shots)),
            ("adapt", lambda: adapt(store, rng)),
            ("undo", store.undo),
            ("forget", lambda: store.forget("alef")),
        ):
            run()
            os.write(1, f"{name}\n".encode())


def state(path: Path) -> tuple[object, ...]:
    with opened(str(path)) as store:
        now = store.snapshot()
    return now.labels, tuple(now.counts), now.prototypes.tobytes(), repr(now.columns)


def leave(pages: int, filler: Path) -> None:
    """Fill the disk with a file, but for some pages."""
    with open(filler, "wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(file.tell() - 4096 * pages)


def make(folder: str) -> None:
    """Import a store with every amount of room, in pages; prints the error, and how many labels are there then."""
    path, filler = Path(folder) / "new.db", Path(folder) / "filler"
    with TemporaryDirectory() as roomy:
        archive = Path(roomy) / "whole.npz"
        with opened(str(Path(roomy) / "whole.db")) as whole:
            for number in range(60):
                whole.enroll(f"label {number}", np.random.default_rng(number).normal(size=(3, DIM)).astype("f4"))
            write_archive(whole, archive)
        for pages in range(200):
            leave(pages, filler)
            error = ""
            try:
                read_archive(archive, path, whole.encoder_id, DIM)
            except StoreError as refused:
                error = str(refused)
            filler.unlink()
            with opened(str(path)) as made:
                print(error, len(made.snapshot().labels), sep="\t")
            path.unlink(missing_ok=True)


def fill(folder: str) -> None:
    """Every kind of change with every amount of room left, in pages; prints a line for each: what the store holds after it,
    `before` or `after` the change or `else`, the change, the room, and the error, or that the scrub is pending. At last a
    change gets the room that its error asked for.
    """
    rng = np.random.default_rng(0)
    many, more = rng.normal(size=(2, 60, DIM)).astype("f4")
    changes = {
        "enroll": lambda store: store.enroll("bet", many),
        "adapt": lambda store: adapt(store, np.random.default_rng(1)),
        "undo": Store.undo,
        "forget": lambda store: store.forget("alef"),
        "forget later": lambda store: store.forget("alef"),  # when all is in the file, and the log is empty
    }
    path, filler = Path(folder) / "store.db", Path(folder) / "filler"

    def run(name: str, path: Path, room: int | None) -> str:
        store = opened(str(path))
        store.enroll("alef", many)
        store.enroll("gimel", more)  # still in the write-ahead log, and the file small
        if name == "forget later":
            store.close()
            store = opened(str(path))
            store.snapshot()
        with store:
            if room is not None:
                leave(room, filler)
            try:
                done = changes[name](store)
            except StoreError as error:
                return str(error)
        return "pending" if getattr(done, "scrub_pending", False) else ""

    for name in changes:
        with TemporaryDirectory() as roomy:
            run(name, Path(roomy) / "store.db", None)
            after = state(Path(roomy) / "store.db")
            with opened(str(Path(roomy) / "before.db")) as store:
                store.enroll("alef", many)
                store.enroll("gimel", more)
            before = state(Path(roomy) / "before.db")
        rooms = list(range(48))
        for room in rooms:
            said = run(name, path, room)
            if room == 0 and (megabytes := re.search(r"Free ([\d.]+) MB", said)):
                rooms.append(int(float(megabytes[1]) * 1e6 / 4096))
            filler.unlink()
            now = state(path)
            print({before: "before", after: "after"}.get(now, "else"), name, room, said, sep="\t")
            for file in Path(folder).iterdir():
                file.unlink()


def serve() -> None:
    """For each line, a fork that changes the store from change FIRST on; killed SECONDS after it has acknowledged so many.

    Prints how many changes it had acknowledged by the time it was dead.
    """
    for line in sys.stdin:
        path, first, acknowledged, seconds = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            number = int(first)
            store = opened(path)
            while True:
                change(store, number)
                os.write(writing, b".")
                number += 1
        os.close(writing)
        count = 0
        while count < int(acknowledged):
            count += len(os.read(reading, 1))
        # Not to wait for something: the moment of the kill is what is drawn.
        end = time.perf_counter() + float(seconds)
        while time.perf_counter() < end:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while rest := os.read(reading, 1000):
            count += len(rest)
        os.close(reading)
        print(count, flush=True)


if __name__ == "__main__":
    {"one-of-each": one_of_each, "fill": fill, "make": make, "serve": serve}[sys.argv[1]](*sys.argv[2:])
