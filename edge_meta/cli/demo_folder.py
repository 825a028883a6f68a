"""The folder of a demo, and what of an earlier demo makes way for the new one."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_meta import files
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import Classifier

STORE, REPORT, RESULT = "demo.db", "report.html", "result.json"


def check_writable(folder: Path) -> None:
    """Say what is wrong with the demo's files before the work.

    Raises:
        OutputError: see `files.writable`.
    """
    for name in (STORE, REPORT, RESULT):
        files.writable(folder / name)


def remove_run(path: Path) -> None:
    """Remove the run of an earlier demo, and nothing that is not one."""
    if (path / "run.json").exists():
        shutil.rmtree(path)


def new_classifier(bundle: Bundle, folder: Path) -> Classifier:
    """Open a bundle with an empty store in place of an earlier demo's."""
    store = files.writable(folder / STORE)
    for journal in ("", "-wal", "-shm"):
        Path(f"{store}{journal}").unlink(missing_ok=True)
    return Classifier.load(bundle, store)
