"""Several processes change one store at random and are killed at random; what was acknowledged must be there.

    make chaos S=120

Each process enrolls, forgets, renames, adapts, undoes, merges, exports, imports, migrates and reads, with files that may not
grow at times, and clocks that jump. The disk that they share is full at times, where mounting is allowed. Each writes a
journal; see support/chaos_oracle.py. When it starts again after a kill, the store must hold what its journal acknowledges,
with or without the one operation that the kill interrupted. Now and then all are killed at once. Then the store must pass
its own check, and no byte of what was removed may be in any file. In the manner of RocksDB's crash test.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that forks has one thread

import click
import numpy as np
from support.chaos_oracle import DIM, ENCODER_ID, allowed, draw, held, journal, live, opened, traces
from support.chaos_worker import Worker, remove_side_files
from support.removed_bytes import left_of

from edge_meta import files
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord, MigrationAccuracy
from edge_meta.store.store_check import check_store

WORKERS = ("w0", "w1", "w2")
MEGABYTES = 8  # of the disk that is full at times


def newer_bundle() -> Bundle:
    """A bundle with a map from the store's encoder."""
    bundle = Bundle.open("omniglot")
    dim, rng = bundle.manifest.dim, np.random.default_rng(0)
    along = EmbeddingMap(rng.normal(0, 0.2, (DIM, dim)).astype("f4"), rng.normal(size=dim).astype("f4"))
    accuracy = MigrationAccuracy(20, 5, 15, 1000, 0.99, 0.98, 0.01, 0.001)
    record = EmbeddingMapRecord(ENCODER_ID, DIM, 0.01, 1.5, (0.5, 0.8), accuracy)
    return replace(bundle, manifest=replace(bundle.manifest, embedding_maps=(record,)), maps={ENCODER_ID: along})


class Chaos:
    """Processes that change a store, and one that kills them.

    Args:
        folder: of their journals.
        disk: the folder of the store.
        small: whether the disk is a small one, which may be filled.
        keep_shots: the kind of the store.

    Attributes:
        counts: how often each thing was done.
        findings: what is wrong.
    """

    def __init__(self, folder: Path, disk: Path, small: bool, keep_shots: bool, rng: random.Random) -> None:
        self.folder, self.disk, self.small, self.keep_shots, self.rng = folder, disk, small, keep_shots, rng
        self.path, self.filler, self.newer = disk / "shared.db", disk / "filler", newer_bundle()
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        (disk / "tmp").mkdir()
        tempfile.tempdir = str(disk / "tmp")

    def run(self, seconds: float) -> None:
        """Keep the processes going and killing them, until something is wrong or the time is over."""
        end = time.monotonic() + seconds
        processes = {name: self.start(name) for name in WORKERS}
        while time.monotonic() < end and not self.findings:
            time.sleep(self.rng.uniform(0, 0.5))
            if self.small and self.rng.random() < 0.3:
                self.free() if self.filler.exists() else self.fill()
            names = list(WORKERS) if self.rng.random() < 0.1 else [self.rng.choice(WORKERS)]
            for name in names:
                self.kill(name, processes[name])
            if len(names) > 1 and not self.findings:
                self.check()
            for name in names:
                processes[name] = self.start(name)
        for name, process in processes.items():
            self.kill(name, process)
        if not self.findings:
            self.check()

    def start(self, name: str) -> int:
        process = os.fork()
        if process == 0:
            try:
                Worker(self.folder, self.disk, name, self.keep_shots, self.newer).work()
            except BaseException:
                (self.folder / f"{name}.said").write_text(traceback.format_exc(), "utf-8")
            finally:
                os._exit(1)
        return process

    def kill(self, name: str, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            said = self.folder / f"{name}.said"
            self.findings.append(said.read_text("utf-8") if said.exists() else f"{name} ended with status {status}")
        self.counts["kills"] += 1

    def fill(self) -> None:
        """Fill the disk up to some pages."""
        with open(self.filler, "wb", buffering=0) as file:
            with suppress(OSError):
                while file.write(bytes(1 << 16)):
                    pass
            file.truncate(max(0, file.tell() - 4096 * self.rng.randrange(80)))
        self.counts["full disks"] += 1

    def free(self) -> None:
        self.filler.unlink(missing_ok=True)

    def check(self) -> None:
        """Check the store while nobody uses it; and that nothing is left of what was removed, in no file."""
        self.free()
        if not self.path.exists():
            return
        for name in WORKERS:
            remove_side_files(self.disk, name)
        with files.temporary_folder(self.disk / "tmp" / "mine"):
            pass  # a writer there removes what killed ones have left
        with opened(self.path, self.keep_shots) as store:
            for name in WORKERS:
                if held(store, name) not in allowed(self.folder / f"{name}.journal"):
                    self.findings.append(f"{name}: it has {held(store, name)}, which the journal does not allow")
            store.enroll("last", draw(0, 1))
            if store.forget("last").scrub_pending:
                self.findings.append("a scrub is pending, and nobody uses the store")
            with store.everything() as rows:
                check_store(rows)
                if rows.query("PRAGMA integrity_check").fetchall() != [("ok",)]:
                    self.findings.append("the file is damaged")
            kept = live(store)
        gone = [trace for name in WORKERS for trace in traces(self.folder / f"{name}.journal")]
        for file in self.disk.rglob("*"):
            if file.is_file() and (left := left_of(gone, kept, file.read_bytes())).size:
                self.findings.append(f"{file.name} has {left.size} pieces of what was removed")
        self.counts["checks"] += 1
        self.counts["traces looked for"] = len(set(gone) - kept)

    def result(self) -> dict[str, Any]:
        for name in WORKERS:
            for state, operation in journal(self.folder / f"{name}.journal"):
                if state == "done":
                    self.counts[operation["verb"]] += 1
                elif "refused" in operation:
                    self.counts[f"refused: {operation['refused']}"] += 1
        kind = "shots" if self.keep_shots else "sums"
        return {"store": kind, "small disk": self.small, **dict(sorted(self.counts.items())), "findings": self.findings}


def on_a_small_disk(folder: str) -> int | None:
    """Run this program on a disk of its own in memory; its exit code, or None where mounting is not allowed."""
    mount = f'mount -t tmpfs -o size={MEGABYTES}m tmpfs "$0" && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", mount, folder]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        return None
    return subprocess.run([*inside, sys.executable, *sys.argv, "--disk", folder], check=False).returncode


@click.command()
@click.argument("seconds", default=120.0)
@click.option("--seed", default=0)
@click.option("--disk", hidden=True, type=click.Path(path_type=Path))
def main(seconds: float, seed: int, disk: Path | None) -> None:
    """Run for SECONDS, half of them for each kind of store, and print what was done and found."""
    results = []
    with tempfile.TemporaryDirectory() as made:
        if disk is None and (code := on_a_small_disk(made)) is not None:
            sys.exit(code)
        for keep_shots in (True, False):
            folder, place = Path(made) / f"journals {keep_shots}", (disk or Path(made)) / f"store {keep_shots}"
            folder.mkdir()
            place.mkdir()
            chaos = Chaos(folder, place, disk is not None, keep_shots, random.Random(seed))
            chaos.run(seconds / 2)
            results.append(chaos.result())
            shutil.rmtree(place)
    print(json.dumps(results, indent=1))
    sys.exit(any(result["findings"] for result in results))


if __name__ == "__main__":
    main()
