"""Run a bundle in a child process before its first run here, and remember that it ran.

A malformed model can crash its interpreter, and with it the program that loads the bundle. So a bundle from elsewhere runs
once in a child process, by `subprocess_check`. An empty file in the user's cache folder then says so: its name has the
model's checksum, the backend and its version. Shipped bundles are exempt.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from edge_meta.choices import BACKENDS
from edge_meta.errors import BackendError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions
from edge_meta.runtime.bundle import MODEL, SHIPPED, Bundle


def check_first_run(bundle: Bundle, options: RuntimeOptions = DEFAULT) -> None:
    """Run a bundle's model in a child process, unless it is shipped or has run here before.

    A model for a delegate is not run: it may need the delegate, and only one process may hold the device. Where no
    child process can be started, such as on a phone, nothing is run either.

    Raises:
        BundleError: it crashed, took too long or too much memory, or the interpreter refused it.
    """
    if options.delegate is not None or bundle.path.parent == SHIPPED:
        return
    record = _record(bundle, options.backend)
    if os.path.exists(record):  # which, unlike Path.exists, is False for a folder that may not be read
        return
    from edge_meta.runtime.subprocess_check import check_model  # not before it is needed

    try:
        with bundle.naming_errors():
            check_model(bundle.model, options.backend)
    except BackendError:  # the backend is missing, which loading the model says too; or there are no processes
        return
    _write(record)


def remember_run(bundle: Bundle, backend: str | None = None) -> None:
    """Record that a bundle's model has run here, such as when it was exported."""
    _write(_record(bundle, backend))


def _record(bundle: Bundle, backend: str | None) -> Path:
    name, version = _version(backend)
    return _cache_folder() / "edge_meta" / "ran" / f"{bundle.manifest.files[MODEL]}-{name}-{version}"


def _write(record: Path) -> None:
    with suppress(OSError):  # then it runs in a child again next time
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()


def _version(backend: str | None) -> tuple[str, str]:
    """The name of a backend, by default the first installed, and its version."""
    from importlib import metadata  # slow to import, and not needed for shipped bundles

    packages = {"litert": "ai-edge-litert", "tflite": "tflite-runtime", "tensorflow": "tensorflow"}
    for name in [backend] if backend else BACKENDS:
        with suppress(metadata.PackageNotFoundError):
            return name, metadata.version(packages[name])
    return backend or "none", "unknown"


def _cache_folder() -> Path:
    """The folder in which programs keep a user's files that can be made again."""
    home = Path(os.path.expanduser("~"))  # "~" itself if there is no home
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
