"""For tests/chaos.py: a process that changes a store at random until it is killed, and what it acknowledges."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from edge_meta.errors import EdgeMetaError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.store_migration import migrate
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.store import Store
from support.chaos_oracle import (
    DIM,
    ENCODER_ID,
    Operation,
    acknowledged,
    after,
    draw,
    embeddings,
    held,
    opened,
    shots_of,
    wanted,
)
from support.device import state
from support.full_disk import files_that_may_not_grow
from support.jumping_clock import jumping_clock, touch

MOST_LABELS, MOST_SHOTS = 5, 4  # of a worker; of an enroll
VERBS = {"enroll": 5, "forget": 2, "rename": 1, "merge": 1, "merge a removal": 1, "import": 1, "migrate": 1, "read": 1}
# What a full disk, a file that may not grow, a program that holds the store, and a clock that jumps make a change say.
REFUSALS = re.compile(
    "database or disk is full|disk I/O error|database is locked|No space left|File too large|unable to open|"
    "does not fit on the disk|being changed all the time|takes longer than|hard links"
)
T = TypeVar("T")


class WrongError(Exception):
    """The store is not as it must be."""


class Worker:
    """A process that changes one store with others.

    Attributes:
        shots: what it has enrolled and not removed, as far as that is acknowledged.

    Args:
        folder: of the journals.
        disk: the folder of the store.
        name: the labels that begin with it are its own.
        keep_shots: the kind of the store.
        newer: a bundle with a map from the store's encoder.
    """

    def __init__(self, folder: Path, disk: Path, name: str, keep_shots: bool, newer: Bundle) -> None:
        self.disk, self.name, self.keep_shots, self.newer = disk, name, keep_shots, newer
        self.path, self.journal = disk / "shared.db", folder / f"{name}.journal"
        self.rng = random.Random(f"{name} {time.time_ns()}")
        self._journal = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._turn = os.open(folder / "turn", os.O_RDWR | os.O_CREAT)
        self.verbs = VERBS | ({"forget a shot": 1} if keep_shots else {})
        self.store = patiently(lambda: opened(self.path, keep_shots))
        self._reading: int | None = None
        self.shots, pending = acknowledged(self.journal)
        self.remove_side_files()
        if pending is not None:
            self.settle(pending)
        self.require("when it starts")

    def work(self) -> None:
        """Go on until killed."""
        with ExitStack() as stack:
            if self.rng.random() < 0.3:
                stack.enter_context(jumping_clock(self.rng))
            while True:
                if self.rng.random() < 0.1:
                    self.take_a_turn()
                elif (operation := self.drawn()) is not None:
                    with self.turn(fcntl.LOCK_SH):
                        self.do(operation)
                if self.rng.random() < 0.1:
                    self.store.close()
                    self.store = patiently(lambda: opened(self.path, self.keep_shots))
                if self.rng.random() < 0.1:
                    touch(self.disk, self.rng)

    def settle(self, pending: Operation) -> None:
        """Find out whether the operation that a kill interrupted was done; it was in whole, or not at all."""
        there, changed = patiently(lambda: held(self.store, self.name)), after(self.shots, pending)
        done = there == wanted(changed)
        self.note("done" if done else "not done", pending)
        self.shots = changed if done else self.shots

    def require(self, when: str) -> None:
        """Check that the store holds what it must of this worker's labels."""
        there, must = patiently(lambda: held(self.store, self.name)), wanted(self.shots)
        if there != must:
            counts = [{label: count for label, (count, _) in some.items()} for some in (there, must)]
            raise WrongError(f"{self.name} {when}: it has {counts[0]} and not {counts[1]}")

    def note(self, state: str, operation: Operation) -> None:
        os.write(self._journal, (json.dumps([state, operation]) + "\n").encode())  # one call, so that no kill cuts it

    @contextmanager
    def turn(self, kind: int) -> Iterator[None]:
        """Change the store together with others, or (LOCK_EX) alone. A kill ends it, too."""
        fcntl.flock(self._turn, kind)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def drawn(self) -> Operation | None:
        """An operation at random; None if there is nothing that it could be done to."""
        verb = self.rng.choices(list(self.verbs), list(self.verbs.values()))[0]
        if verb in ("enroll", "merge"):
            return self.addition(verb)
        if verb in ("import", "migrate", "read"):
            return {"verb": verb} if self.shots else None
        if not self.shots:
            return None
        operation: Operation = {"verb": verb, "label": self.rng.choice(sorted(self.shots))}
        if verb == "rename":
            operation["new"] = self.new_label()
        elif verb == "forget a shot":
            operation["shot"] = self.rng.choice(self.shots[operation["label"]])
        return operation

    def addition(self, verb: str) -> Operation:
        labels = sorted(self.shots)
        new = len(labels) < MOST_LABELS and self.rng.random() < 0.5
        label = self.rng.choice(labels) if labels and not new else self.new_label()
        return {"verb": verb, "label": label, "seed": self.rng.getrandbits(40), "count": self.rng.randint(1, MOST_SHOTS)}

    def new_label(self) -> str:
        return f"{self.name} {self.rng.getrandbits(160):040x}"

    def take_a_turn(self) -> None:
        """Change the store alone for a while, and take back the last changes; the store must be as it was before each."""
        with self.turn(fcntl.LOCK_EX):
            done: list[tuple[Operation, tuple[object, ...]]] = []
            for _ in range(self.rng.randint(1, 4)):
                before = patiently(lambda: state(self.store))
                what = self.rng.choice(["enroll", "rename", "adapt" if self.keep_shots else "enroll"])
                if what == "adapt" and self.shots:
                    way = len(patiently(self.store.snapshot).labels)
                    operation: Operation = {"verb": "adapt", "seed": self.rng.getrandbits(40), "way": way}
                elif what == "rename" and self.shots:
                    operation = {"verb": what, "label": self.rng.choice(sorted(self.shots)), "new": self.new_label()}
                else:
                    operation = self.addition("enroll")
                if self.do(operation):
                    done.append((operation, before))
            while done and self.rng.random() < 0.8:
                operation, before = done.pop()
                if not self.do({"verb": "undo", "of": operation}):
                    return
                if patiently(lambda: state(self.store)) != before:
                    raise WrongError(f"{self.name}: undo of {operation} does not give back the store from before")

    def do(self, operation: Operation) -> bool:
        """Do an operation; whether it is done. If it is refused, nothing may have changed."""
        self.note("begin", operation)
        try:
            with ExitStack() as stack:
                if self.rng.random() < 0.1:
                    stack.enter_context(files_that_may_not_grow(self.rng.randrange(2 * size_of(self.path) + 1)))
                self.perform(operation)
        except EdgeMetaError as error:
            why = REFUSALS.search(str(error))
            if why is None:
                raise
            self.remove_side_files()
            self.require(f"after {operation['verb']} was refused ({error})")
            self.note("not done", operation | {"refused": why[0]})
            return False
        self.shots = after(self.shots, operation)
        self.require(f"after {operation}")
        self.note("done", operation)
        return True

    def perform(self, operation: Operation) -> None:
        verb, label = operation["verb"], operation.get("label", "")
        if verb == "enroll":
            self.store.enroll(label, embeddings(shots_of(operation)))
        elif verb == "forget":
            pending = self.store.forget(label).scrub_pending
            self.require_gone([label.encode(), *embeddings(self.shots[label])], pending)
        elif verb == "forget a shot":
            shot = embeddings([tuple(operation["shot"])])
            with self.store.everything() as rows:
                (identity,) = rows.row("SELECT lower(hex(id)) FROM shots WHERE embedding = ?", (shot.tobytes(),))
            self.require_gone([*shot], self.store.forget(label, identity).scrub_pending)
        elif verb == "rename":
            self.store.rename(label, operation["new"])
        elif verb == "adapt":
            columns = draw(operation["seed"], operation["way"])
            with self.store.adapting() as change:
                change.replace_head(columns.T, columns[:, 0])
        elif verb == "undo":
            of, undone = operation["of"], self.store.undo()
            self.require_gone([*embeddings(shots_of(of))] if of["verb"] == "enroll" else [], undone.scrub_pending)
        elif verb == "read":
            with self.store.everything() as rows:
                rows.snapshot()
                time.sleep(self.rng.uniform(0, 0.3))  # removals cannot scrub meanwhile
        else:
            self.perform_between_stores(operation)

    def perform_between_stores(self, operation: Operation) -> None:
        verb, side = operation["verb"], self.disk / f"{self.name}-side.db"
        if verb == "merge":
            with ExitStack() as stack:
                other = stack.enter_context(opened(side, self.keep_shots))
                other.enroll(operation["label"], embeddings(shots_of(operation)))
                if self.rng.random() < 0.5:
                    stack.close()
                self.store.merge(side)
        elif verb == "migrate":
            done = migrate(self.newer, self.path, side)
            manifest, along = self.newer.manifest, self.newer.maps[ENCODER_ID]
            with Store(side, manifest.encoder_id, manifest.dim) as store:
                there = held(store, self.name)
            must = {label: len(some) for label, some in self.shots.items()}
            if {label: count for label, (count, _) in there.items()} != must or done.classes < len(must):
                raise WrongError(f"{self.name}: the migrated store has {there} and not {must}")
            for label, some in self.shots.items() if self.keep_shots else ():
                mapped = along.embeddings(embeddings(some)).astype(float).mean(axis=0)
                if not np.allclose(np.frombuffer(there[label][1], "f4"), mapped, atol=1e-5):
                    raise WrongError(f"{self.name}: migrated {label} has another prototype")
        else:
            archive = self.disk / f"{self.name}-side.npz"
            write_archive(self.store, archive)
            read_archive(archive, side, ENCODER_ID, DIM)
            with opened(side, self.keep_shots) as copy:
                if held(copy, self.name) != wanted(self.shots):
                    raise WrongError(f"{self.name}: the imported store has {held(copy, self.name)}")
                if verb == "merge a removal":
                    copy.forget(operation["label"])
            if verb == "merge a removal":
                pending = self.store.merge(side).scrub_pending
                self.require_gone([operation["label"].encode(), *embeddings(self.shots[operation["label"]])], pending)
        self.remove_side_files()

    def remove_side_files(self) -> None:
        remove_side_files(self.disk, self.name)

    def require_gone(self, values: list[object], pending: bool) -> None:
        """Check that removed values are in no file of the store, unless it said that they still are."""
        if pending:
            return
        if self._reading is None:
            # It is never closed: that would end the locks that SQLite holds on the file for this process.
            self._reading = os.open(self.path, os.O_RDONLY)
        content = os.pread(self._reading, size_of(self.path), 0) + b"\xff" + Path(f"{self.path}-wal").read_bytes()
        for value in values:
            trace = value if isinstance(value, bytes) else np.asarray(value).tobytes()
            if trace in content:
                raise WrongError(f"{self.name}: removed {trace!r} is in the files, and no scrub is pending")


def remove_side_files(disk: Path, worker: str) -> None:
    """Remove the stores and archives that a worker made beside the shared store."""
    for file in disk.glob(f"{worker}-side.*"):
        file.unlink()


def patiently(read: Callable[[], T]) -> T:
    """Read, as soon as a full disk lets it."""
    for _ in range(400):
        try:
            return read()
        except EdgeMetaError as error:
            if not REFUSALS.search(str(error)):
                raise
            last = error
        time.sleep(0.05)
    raise last


def size_of(path: Path) -> int:
    """The bytes of a store's larger file."""
    return max((file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists()), default=0)
