"""Stores and archives are written to regular files alone, and what a killed or failing command leaves is removed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.device import cli, complaint, draw, embeddings, opened, png, python

from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices, FIFOs, links and signals of POSIX")

OTHERS = ["device", "FIFO", "folder", "link to nothing"]


def put(kind: str, path: Path) -> tuple[int, int]:
    """Put something there that is no regular file; return what tells it from others."""
    if kind == "device":
        path.symlink_to(os.devnull)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    return identity(path)


def identity(path: Path) -> tuple[int, int]:
    return path.lstat().st_ino, path.lstat().st_mode


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("output", ["enroll", "import-store", "merge", "export-store", "benchmark"])
def test_no_verb_replaces_what_is_no_regular_file(tmp_path: Path, bundle: Bundle, kind: str, output: str) -> None:
    there, store = tmp_path / "there", tmp_path / "store.db"
    with bundle.open_store(store) as filled:
        filled.enroll("alef", embeddings(0, 2, bundle.manifest.dim))
    cli("export-store", "omniglot", tmp_path / "in.npz", "--store", store)
    image = png(tmp_path, "a.png", draw(0))
    before, listed = put(kind, there), sorted(os.listdir(tmp_path))
    arguments = {
        "enroll": ("alef", image, "--store", there),
        "import-store": (tmp_path / "in.npz", "--store", there),
        "merge": (store, "--store", there),
        "export-store": (there, "--store", store),
        "benchmark": ("--report", there, "--runs", 1, "--warmup", 0),
    }
    said = complaint(cli(output, "omniglot", *arguments[output], code=1))
    assert f"{there} is a {kind}" in said or "There is a store at" in said
    assert identity(there) == before
    assert sorted(os.listdir(tmp_path)) == listed
    assert not (tmp_path / "nowhere").exists()


def test_a_store_is_made_through_a_link_to_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "real.db").touch()
    (tmp_path / "link.db").symlink_to("card/real.db")
    with opened(tmp_path / "link.db") as store:
        store.enroll("alef", embeddings(0, 1))
    assert (tmp_path / "link.db").is_symlink()
    assert os.listdir(tmp_path / "card") == ["real.db"]
    with opened(tmp_path / "card" / "real.db") as store:
        assert store.snapshot().labels == ("alef",)


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from edge_meta.store import placement
from edge_meta.store.store import Store
path, at = Path(sys.argv[1]), sys.argv[2]
def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
def make(made):
    with Store(made, "0123456789abcdef" * 2, 16) as store:
        import numpy
        store.enroll("secret label", numpy.ones((3, 16), "f4"))
        if at == "filling":
            kill()
    if at == "made":
        kill()
    if at == "linked":
        Path.unlink = kill
placement.create_atomically(path, make)
"""


@pytest.mark.parametrize("at", ["filling", "made", "linked"])
def test_a_store_killed_while_it_is_made_leaves_nothing(path: Path, tmp_path: Path, at: str) -> None:
    assert python(tmp_path, "-c", KILLED_AT, path, at).returncode == -signal.SIGKILL
    assert any(name.startswith(".store.db.") for name in os.listdir(path.parent))
    with opened(path) as store:
        assert store.snapshot().labels == (("secret label",) if at == "linked" else ())
        store.enroll("alef", embeddings(0, 1))
    assert os.listdir(path.parent) == ["store.db"]


def test_a_change_removes_what_a_killed_export_left(filled: object, path: Path, tmp_path: Path) -> None:
    killed = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from edge_meta.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python(tmp_path, "-c", killed, path.parent / "out.npz").returncode == -signal.SIGKILL
    with opened(path) as store:
        assert len(os.listdir(path.parent)) == 4
        store.enroll("alef", embeddings(0, 1))
        assert sorted(os.listdir(path.parent)) == ["store.db", "store.db-shm", "store.db-wal"]


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
@pytest.mark.parametrize("verb", ["export-store", "import-store"])
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, bundle: Bundle, verb: str) -> None:
    store, archive = tmp_path / "store.db", tmp_path / "in.npz"
    with bundle.open_store(store) as filled:
        filled.enroll("alef", np.ones((2000, bundle.manifest.dim), np.float32))
    cli("export-store", "omniglot", archive, "--store", store)
    (tmp_path / "small").mkdir()
    arguments = {"export-store": ["small/out.npz", "--store", store], "import-store": [archive, "--store", "small/new.db"]}
    script = 'mount -t tmpfs -o size=100k tmpfs small || exit 77; "$@"; echo $?; ls -A small'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "edge_meta", verb, "omniglot",
         *map(str, arguments[verb])], cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "Operation not permitted" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.stdout == "1\n"
    assert done.stderr.startswith("Error: small/")
    assert done.stderr.count("\n") == 1
    assert "space" in done.stderr or "full" in done.stderr


def test_sqlite_keeps_its_temporary_files_in_memory(filled: object, path: Path) -> None:
    with opened(path) as store:
        assert store.snapshot().labels
        assert store.database.query("PRAGMA temp_store").fetchone() == (2,)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match=r"folder\.db is a folder"):
        opened(tmp_path / "folder.db")
