"""Several processes change one store at random and are killed at random; what was acknowledged must be there.

    make chaos S=120

Each process owns some labels and writes a journal: an operation before it begins, and that it is done after. It enrolls,
forgets, merges a store of its own, and exports; it undoes nothing, since an undo may hit another process's change. When it
starts again after a kill, the store must hold what its journal acknowledges, with or without the one operation that the
kill interrupted. In the end no byte of a removed embedding may be in any file. In the manner of RocksDB's crash test.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge_meta.store.archive import write_archive
from edge_meta.store.store import Store
from edge_meta.types import Array

ENCODER_ID, DIM = "ab" * 16, 16
WORKERS, LABELS = 3, 5
MOST_SHOTS = 4
STORE = "shared.db"
Operation = dict[str, Any]
Shots = dict[str, list[tuple[int, int]]]
"""Of each label, the seed and the number of each enroll's embeddings."""


def opened(path: Path) -> Store:
    return Store(path, ENCODER_ID, DIM)


def embeddings(seed: int, count: int) -> Array:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def journal(path: Path) -> Iterator[tuple[str, Operation]]:
    """The entries ("begin" or "done", operation) of a journal; a line that a kill cut short is left out."""
    if path.exists():
        for line in path.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                state, operation = json.loads(line)
                yield state, operation


def after(shots: Shots, operation: Operation) -> Shots:
    """The shots after an operation."""
    changed = {label: list(seeds) for label, seeds in shots.items()}
    if operation["verb"] in ("enroll", "merge"):
        changed.setdefault(operation["label"], []).append((operation["seed"], operation["count"]))
    elif operation["verb"] == "forget":
        changed.pop(operation["label"], None)
    return changed


def expected(path: Path) -> tuple[Shots, Operation | None]:
    """Read what a journal acknowledges, and the operation that it began last, if it is not done."""
    shots: Shots = {}
    pending = None
    for state, operation in journal(path):
        if state == "begin":
            pending = operation
        else:
            shots, pending = after(shots, operation) if state == "done" else shots, None
    return shots, pending


def counts(shots: Shots) -> dict[str, int]:
    return {label: sum(count for _, count in seeds) for label, seeds in shots.items()}


def held(store: Store, worker: str) -> dict[str, int]:
    """The shots of each of a worker's labels in the store."""
    snapshot = store.snapshot()
    pairs = zip(snapshot.labels, snapshot.counts.tolist(), strict=True)
    return {label: count for label, count in pairs if label.startswith(f"{worker} ")}


def perform(store: Store, operation: Operation, folder: Path, worker: str) -> None:
    verb = operation["verb"]
    if verb == "enroll":
        store.enroll(operation["label"], embeddings(operation["seed"], operation["count"]))
    elif verb == "forget":
        store.forget(operation["label"])
    elif verb == "merge":
        side = folder / f"{worker}-{operation['seed']}.db"
        with opened(side) as other:
            other.enroll(operation["label"], embeddings(operation["seed"], operation["count"]))
        store.merge(side)
        side.unlink()
    elif verb == "export":
        archive = folder / f"{worker}.npz"
        archive.unlink(missing_ok=True)
        write_archive(store, archive)


def work(folder: Path, worker: str) -> None:
    """Settle what the last kill interrupted, then go on until killed."""
    path = folder / f"{worker}.journal"
    rng = random.Random(f"{worker} {time.time_ns()}")
    shots, pending = expected(path)
    with opened(folder / STORE) as store, path.open("a", encoding="utf-8") as file:

        def note(state: str, operation: Operation) -> None:
            file.write(json.dumps([state, operation]) + "\n")
            file.flush()

        there, without = held(store, worker), counts(shots)
        if pending is not None:
            done = counts(after(shots, pending))
            if there not in (without, done):
                sys.exit(f"{worker}: {there} is neither {without} nor {done}")
            state = "done" if there == done else "not done"
            note(state, pending)
            shots = after(shots, pending) if state == "done" else shots
        elif there != without:
            sys.exit(f"{worker}: {there} is not {without}")
        while True:
            verb = rng.choice(["enroll"] * 4 + ["forget"] * 2 + ["merge", "export"])
            label = rng.choice(sorted(shots)) if verb == "forget" and shots else f"{worker} {rng.randrange(LABELS)}"
            if verb == "forget" and not shots:
                continue
            operation = {"verb": verb, "label": label, "seed": rng.getrandbits(40), "count": rng.randint(1, MOST_SHOTS)}
            note("begin", operation)
            perform(store, operation, folder, worker)
            note("done", operation)
            shots = after(shots, operation)


def removed(path: Path) -> list[bytes]:
    """The embeddings of a journal that were enrolled and forgotten, as bytes."""
    shots: Shots = {}
    gone: list[bytes] = []
    for state, operation in journal(path):
        if state == "done":
            if operation["verb"] == "forget":
                gone += [
                    row.tobytes() for seed, count in shots.get(operation["label"], []) for row in embeddings(seed, count)
                ]
            shots = after(shots, operation)
    return gone


def start(folder: Path, worker: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--work", worker, "--folder", str(folder)], stderr=subprocess.PIPE)


def run(folder: Path, seconds: float, rng: random.Random) -> dict[str, Any]:
    """Keep the workers going and killing them; returns how many kills and operations there were, and what was found."""
    names = [f"w{number}" for number in range(WORKERS)]
    workers = {name: start(folder, name) for name in names}
    kills = 0
    findings: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not findings:
        name = rng.choice(names)
        try:
            workers[name].wait(rng.uniform(0.2, 1.5))
        except subprocess.TimeoutExpired:
            workers[name].kill()
            kills += 1
        _, said = workers[name].communicate()
        if workers[name].returncode != -signal.SIGKILL:
            findings.append(said.decode())
        workers[name] = start(folder, name)
    for process in workers.values():
        process.kill()
        process.communicate()
    with opened(folder / STORE) as store:  # finishes what is still to be scrubbed
        for name in names:
            shots, pending = expected(folder / f"{name}.journal")
            allowed = [counts(shots)] + ([counts(after(shots, pending))] if pending else [])
            if held(store, name) not in allowed:
                findings.append(f"{name}: {held(store, name)} is not {allowed}")
    written = b"".join(path.read_bytes() for path in folder.glob(f"{STORE}*"))
    gone = [row for name in names for row in removed(folder / f"{name}.journal")]
    findings += [f"a removed embedding is in the files: {row.hex()}" for row in gone if row in written]
    operations = sum(state == "done" for name in names for state, _ in journal(folder / f"{name}.journal"))
    return {"seconds": seconds, "kills": kills, "operations": operations, "removed": len(gone), "findings": findings}


@click.command()
@click.argument("seconds", default=120.0)
@click.option("--seed", default=0)
@click.option("--work", "worker", hidden=True)
@click.option("--folder", hidden=True, type=click.Path(path_type=Path))
def main(seconds: float, seed: int, worker: str | None, folder: Path | None) -> None:
    """Run for SECONDS, and print what was done and found."""
    if worker is not None and folder is not None:
        work(folder, worker)
    with tempfile.TemporaryDirectory() as made:
        result = run(Path(made), seconds, random.Random(seed))
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["findings"] else 0)


if __name__ == "__main__":
    main()
