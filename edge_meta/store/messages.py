"""Errors of a store that its user can act on, and SQLite's and the file system's errors in plain words."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_meta.errors import LabelError, OutputError, StoreError

LONGEST_LABEL = 1000  # characters
RESTORE = "Restore a copy of it, or choose another --store."
ENROLL_FIRST = "Enroll first: edge-meta enroll BUNDLE LABEL FILE..."
SCRUB_PENDING = (
    "The removed bytes are still on the disk, since another program uses the store or the disk is full. They go with the "
    "next change, or when the store is next opened."
)


@contextmanager
def translate_errors(path: Path, room: Callable[[], int] | None = None) -> Iterator[None]:
    """Raise SQLite's and the file system's errors as StoreError; by then the transaction is rolled back.

    Args:
        room: returns the bytes that are enough for the change, if that is known, for the error of a full disk.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = str(error)
        if "locked" in reason:
            remedy = "Another program is holding it; nothing was changed. Close that program and try again."
        elif "full" in reason:
            needed = "some space" if room is None else f"{math.ceil(room() / 1e5) / 10} MB"
            remedy = f"Nothing was changed. Free {needed} and try again."
        elif "disk I/O" in reason:
            remedy = "Nothing was changed. Check that the disk works and has room, and try again."
        elif "no such" in reason or "decode" in reason:
            remedy = RESTORE
        else:
            remedy = "Nothing was changed. Check that the folder exists and may be written, or use another --store."
        raise StoreError(f"{path}: {reason}.", remedy) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is not a store, or is damaged ({error}).", RESTORE) from error
    except OutputError as error:
        raise StoreError(error.cause, error.remedy) from error
    except OSError as error:
        raise StoreError(f"{path} cannot be used ({error}).", "Choose another --store.") from error


def replaced(path: Path, how: str) -> StoreError:
    """The error of a store whose file was `deleted` or `replaced` while it was open."""
    return StoreError(f"{path} was {how} while it was open; nothing was changed.", "Load the bundle again to go on.")


def read_only(path: Path) -> StoreError:
    """The error of a change to a store that can only be read."""
    return StoreError(
        f"{path}: attempt to write a readonly database.",
        "Nothing was changed. Check that the folder exists and may be written, or use another --store.",
    )


def nothing_enrolled(path: Path) -> LabelError:
    """The error of a store that is not there, or empty.

    In the user's data folder a store's name ends in its encoder's id; there the error names the newest store of another
    encoder of the bundle.
    """
    named = re.fullmatch(r"(.+-)[0-9a-f]{12}\.db", path.name)
    others = [other for other in path.parent.glob("*.db") if named and other.name.startswith(named[1]) and other != path]
    remedy = ENROLL_FIRST
    if others:
        newest = max(others, key=lambda other: other.stat().st_mtime)
        remedy += (
            f" Another encoder of this bundle left {newest}: edge-meta migrate BUNDLE {newest} takes it over, if the bundle"
            " has a map from that encoder."
        )
    return LabelError(f"Nothing is enrolled in {path}.", remedy)


def another_encoder(path: Path, encoder_id: object, wanted: str, migratable_from: Collection[str]) -> StoreError:
    """The error of a store whose encoder is not the wanted one.

    Args:
        encoder_id: as the store says.
        migratable_from: ids of the encoders whose stores the bundle can migrate.
    """
    if encoder_id in migratable_from:
        remedy = f"The bundle has a map from that encoder: edge-meta migrate BUNDLE {path}"
    else:
        remedy = (
            "The bundle has no map from that encoder either: use the bundle that the store was made with, or another "
            "--store and enroll again."
        )
    return StoreError(
        f"{path} belongs to encoder {str(encoder_id)[:12]}, and the bundle's is {wanted[:12]}; "
        "embeddings of two encoders never mix.",
        remedy,
    )
