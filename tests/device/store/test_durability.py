"""Acknowledged changes outlive a kill, a power cut, a full disk, and other programs at the same file.

A kill cannot show what a power cut would lose, since the kernel keeps what was written and not yet synced: that is what
the traces of system calls are for.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import adapt, bytes_in, draw, embeddings, opened, png, python, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.database import BUSY_SECONDS
from edge_meta.store.store import Store

CHILD = Path(__file__).with_name("durability_child.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX: fork, SIGKILL and limits on a process")


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of durability_child.py with pipes; its own complaints go where the test's go."""
    process = subprocess.Popen(
        [sys.executable, str(CHILD), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    with process:
        yield process
    assert process.returncode == 0


# Kill


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_kills_lose_nothing_acknowledged(path: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    change = runpy.run_path(str(CHILD))["change"]
    path.parent.mkdir()
    done = 0
    # The twin goes through the same changes and is never killed.
    with child("serve") as server, opened(tmp_path / "twin.db") as twin:
        assert server.stdin is not None
        assert server.stdout is not None
        for _ in range(50):
            print(path, done, rng.integers(7), rng.uniform(0, 0.008), file=server.stdin, flush=True)
            acknowledged = int(server.stdout.readline())
            for number in range(done, done + acknowledged):
                change(twin, number)
            done += acknowledged
            with opened(path) as store:
                if state(store) != state(twin):  # then the change that was cut is in, and all of it
                    change(twin, done)
                    done += 1
                    assert state(store) == state(twin)
            if path.exists():
                with closing(sqlite3.connect(path)) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        server.stdin.close()
        assert done > 100
        with opened(path) as store:
            while True:  # what undo needs was kept too
                try:
                    undone = twin.undo()
                except LabelError:
                    break
                assert store.undo() == undone
                assert state(store) == state(twin)


# Power


def unsynced(trace: str) -> dict[str, set[str]]:
    """Map what is written to standard output → which store files and folders a power cut could still undo at that moment.

    Truncated and removed files do not count: an old write-ahead log that comes back says what the store holds already.
    """
    waiting: set[str] = set()
    at: dict[str, set[str]] = {}
    for line in trace.splitlines():
        if not (match := re.match(r"(\w+)\((.*)\) += \d+$", line)):
            continue
        call, arguments = match.groups()
        handle, file = re.match(r"(\d*)<?([^>]*)>?", arguments).groups()  # type: ignore[union-attr]
        if call in ("mkdir", "link"):
            waiting.add(str(Path(re.findall(r'"([^"]*)"', arguments)[-1]).parent))
        elif call in ("fsync", "fdatasync"):
            waiting.discard(file)
        elif file.endswith(("made.db", "store.db", "store.db-wal")):
            waiting.add(file)
        elif handle == "1" and (words := re.findall(r'"(\w+)', arguments)):
            at[words[0]] = set(waiting)
    return at


def traced(folder: Path, *arguments: object) -> tuple[dict[str, set[str]], str]:
    """Run Python in a folder; return `unsynced`, and the trace, of the thread that writes the store."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = "trace=mkdir,link,write,pwrite64,fsync,fdatasync"
    done = subprocess.run(
        [strace, "-ff", "-y", "-o", folder / "calls", "-e", calls, sys.executable, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    threads = [file.read_text(errors="replace") for file in folder.glob("calls.*")]
    (writer,) = [thread for thread in threads if "store.db-wal>" in thread]
    for file in folder.glob("calls.*"):
        file.unlink()
    return unsynced(writer), writer


def test_every_change_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    waiting, trace = traced(tmp_path, CHILD, "one-of-each", tmp_path / "new" / "folders" / "store.db")
    assert waiting == {"create": set(), "enroll": set(), "adapt": set(), "undo": set(), "forget": set()}
    # One sync of the log is all that adding costs. Removing may take more, to overwrite the bytes.
    each = [part.count("fdatasync(") for part in trace.split("write(1<")[1:-1]]
    assert each[:2] == [1, 1]
    assert min(each) >= 1


def test_the_trace_of_a_store_that_syncs_less_shows_it(tmp_path: Path) -> None:
    lax = (
        "import runpy, sys\n"
        "from edge_meta.store import database\n"
        "database.PRAGMAS = ('synchronous = NORMAL',)\n"
        "runpy.run_path(sys.argv[1])['one_of_each'](sys.argv[2])\n"
    )
    path = tmp_path / "store.db"
    waiting, _ = traced(tmp_path, "-c", lax, CHILD, path)
    assert all(f"{path}-wal" in waiting[change] for change in ("create", "enroll", "adapt"))


def test_every_verb_is_on_the_disk_before_it_answers(tmp_path: Path, path: Path) -> None:
    for verb, *arguments in (
        ("enroll", "alef", png(tmp_path, "a.png", draw(0)), png(tmp_path, "b.png", draw(1))),
        ("enroll", "bet", png(tmp_path, "c.png", draw(1, 1)), png(tmp_path, "d.png", draw(0, 1))),
        ("adapt",),
        ("undo",),
        ("forget", "alef"),
    ):
        waiting, _ = traced(tmp_path, "-m", "edge_meta", verb, "omniglot", *arguments, "--store", path)
        (answer,) = waiting.values()
        assert answer == set()


# A full disk, and what may only be read


def mounted(folder: Path, mount: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder after a mount command that it alone sees the effect of."""
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_full_disk_leaves_what_the_message_says(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    done = mounted(tmp_path, "mount -t tmpfs -o size=800k tmpfs small", CHILD, "fill", "small")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    changes = ("enroll", "adapt", "undo", "forget", "forget later")
    outcomes: dict[tuple[str, str], set[str]] = {(what, change): set() for what in ("before", "after") for change in changes}
    for what, change, _, said in lines:
        outcomes[what, change].add(re.sub(r"[\d.]+ MB", "some space", said))
    full = "small/store.db: database or disk is full. Nothing was changed. Free some space and try again."
    for change in changes:
        assert outcomes["before", change] == {full}
        assert outcomes["after", change] == ({"", "pending"} if change == "forget later" else {""})
    asked = {change: (what, int(room), said) for what, change, room, said in lines if int(room) >= 48}
    assert asked.keys() == {"undo", "forget", "forget later"}
    assert all((what, said) == ("after", "") for what, _, said in asked.values())


def test_a_file_that_may_not_grow_keeps_what_was_acknowledged(tmp_path: Path, path: Path) -> None:
    limited = (
        "import resource, sys, numpy\n"
        "from edge_meta.store.store import Store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "with Store(sys.argv[1], '0123456789abcdef' * 2, 16) as store:\n"
        "    for number in range(100):\n"
        "        store.enroll('alef', numpy.zeros((1, 16), 'f4'))\n"
        "        print(number + 1, flush=True)\n"
    )
    done = python(tmp_path, "-c", limited, path)
    assert "StoreError" in done.stderr
    assert f"{path}: disk I/O error. Nothing was changed. Check that the disk works and has room" in done.stderr
    with opened(path) as store:
        assert store.snapshot().counts.tolist() == [len(done.stdout.splitlines())]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("change", [lambda store: store.enroll("bet", embeddings(0, 1)), lambda store: store.forget("alef")])
def test_a_change_that_is_refused_was_not_made(path: Path, change: Callable[[Store], object]) -> None:
    from support.full_disk import files_that_may_not_grow  # not on Windows

    refused = []
    for most in range(0, 100_000, 1024):
        with opened(path) as store:
            store.enroll("alef", embeddings(most, 1))
            before = state(store)
            store.database.query("PRAGMA wal_checkpoint")  # so that SQLite begins the log anew
            try:
                with files_that_may_not_grow(most):
                    change(store)
            except StoreError:
                refused.append(most)
            assert (state(store) == before) == (most in refused)
    assert 0 < len(refused) < 98


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_store_that_does_not_fit_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    done = mounted(tmp_path, "mount -t tmpfs -o size=1200k tmpfs small", CHILD, "make", "small")
    assert done.returncode == 0, done.stderr
    outcomes = {(error, labels) for error, labels in (line.split("\t") for line in done.stdout.splitlines())}
    assert all(labels == ("0" if error else "60") for error, labels in outcomes)
    assert all(("Free some space" in error or "has room" in error) == bool(error) for error, _ in outcomes)
    assert ("", "60") in outcomes


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
@pytest.mark.parametrize("what", ["kept/store.db", "kept"], ids=["file", "folder"])
def test_what_may_only_be_read_says_so_and_stays_as_it_is(tmp_path: Path, bundle: Bundle, what: str) -> None:
    path = tmp_path / "kept" / "store.db"
    with bundle.open_store(path) as store:
        store.enroll("alef", np.zeros((1, bundle.manifest.dim), np.float32))
    before = path.read_bytes()
    readonly = f"mount --bind {what} {what} && mount -o remount,bind,ro {what}"
    for verb in (["forget", "omniglot", "alef"], ["undo", "omniglot"]):
        done = mounted(tmp_path, readonly, "-m", "edge_meta", *verb, "--store", path)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(
            rf"Error: {path}: (attempt to write a readonly database|unable to open database file)\. Nothing was changed\. "
            r"Check that the folder exists and may be written, or use another --store\.\n",
            done.stderr,
        )
    assert path.read_bytes() == before


# Other programs at the same file


WRITER = """
import sys, numpy
from edge_meta.store.store import Store
path, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
with Store(path, "0123456789abcdef" * 2, 16) as store:
    for number in range(50):
        store.enroll(f"{name} {number}", numpy.zeros((1, 16), "f4"))
"""


def test_two_processes_that_enroll_at_once_both_win(path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            cwd=path.parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    with opened(path) as store:
        labels = store.snapshot().labels  # in the order of their first enrollment
    assert len(labels) == 100
    for name in ("one", "two"):
        assert [label for label in labels if label.startswith(name)] == [f"{name} {number}" for number in range(50)]


@pytest.mark.parametrize(
    "change",
    [lambda store: store.enroll("dalet", embeddings(4, 1)), lambda store: store.forget("alef"), Store.undo, adapt],
    ids=["enroll", "forget", "undo", "adapt"],
)
def test_a_change_waits_for_the_program_that_holds_the_store(
    filled: Store, path: Path, change: Callable[[Store], object]
) -> None:
    assert BUSY_SECONDS > 5  # as long as another program may hold it; here it does for a tenth of that
    version = state(filled)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        released: list[bool] = []

        def release() -> None:
            released.append(True)
            holder.execute("ROLLBACK")

        timer = threading.Timer(0.5, release)
        timer.start()
        change(filled)
        assert released
        timer.join()
        assert state(filled) != version


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Another program that reads the store as it is now, for as long as the block runs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM shots").fetchall()
        yield


def read(connection: sqlite3.Connection) -> None:
    """Leave it to the reader that is there."""


def write(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout = 100")
    assert connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 1  # refused by the reader, after its wait


@pytest.mark.parametrize("other", [read, write, checkpoint])
@pytest.mark.parametrize("removal", [lambda store: store.forget("alef"), Store.undo], ids=["forget", "undo"])
def test_a_scrub_waits_for_what_other_programs_do(
    filled: Store, path: Path, other: Callable[[sqlite3.Connection], None], removal: Callable[[Store], Any]
) -> None:
    reads, waits = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            with reading(path):
                reads.set()
                while connection.execute("SELECT COUNT(*) FROM removed").fetchone() == (0,):
                    pass  # not removed yet; the scrub then waits for the reader
                waits.set()
                other(connection)
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    reads.wait(timeout=30)
    assert not removal(filled).scrub_pending
    assert waits.is_set()
    holder.join()


@pytest.mark.parametrize("removal", [lambda store: store.forget("alef"), Store.undo], ids=["forget", "undo"])
def test_a_removal_gives_up_on_a_store_that_is_held(filled: Store, path: Path, removal: Callable[[Store], object]) -> None:
    before = state(filled)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder, opened(path, busy_seconds=0.05) as store:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as error:
            removal(store)
        assert str(error.value) == (
            f"{path}: database is locked. Another program is holding it; nothing was changed. "
            "Close that program and try again."
        )
        assert state(store) == before  # reading goes on
        holder.execute("ROLLBACK")
        removal(store)
        assert state(store) != before


def test_a_kill_before_the_scrub_leaves_it_to_the_next_opening(filled: Store, path: Path) -> None:
    wanted = embeddings(0, 2)[0].tobytes()
    forget = "import runpy, sys; runpy.run_path(sys.argv[1])['opened'](sys.argv[2]).forget('alef')"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        with reading(path):
            killed = subprocess.Popen([sys.executable, "-c", forget, str(CHILD), str(path)])
            while other.execute("SELECT COUNT(*) FROM removed").fetchone() == (0,):
                assert killed.poll() is None
            killed.kill()  # it waits for the reader
            killed.wait()
        assert other.execute("SELECT COUNT(*) FROM scrubs").fetchone() == (1,)
        assert wanted in bytes_in(path.parent)
        with opened(path) as store:
            assert store.snapshot().labels == ("bet", "gimel")
            assert not store.database.scrub_pending
        assert wanted not in bytes_in(path.parent)
