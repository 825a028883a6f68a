"""The SQLite file under a store: connecting, transactions, and errors that a user can act on.

The schema is in schema.sql beside this file; what its rows mean is reading.py's and rows.py's business.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from edge_meta import files
from edge_meta.errors import LabelError, StoreError
from edge_meta.store.schema_migration import upgrade

FORMAT = 2
APPLICATION_ID = 0x454D5354  # "EMST", so that other SQLite files are told apart
ENCODER_ID = re.compile("[0-9A-Za-z_-]{1,64}")
BUSY_SECONDS = 10.0
# An acknowledged change is on the disk: in WAL mode it takes FULL to sync the log at each commit; NORMAL leaves it to the
# next checkpoint. Forgotten bytes are overwritten (secure_delete).
PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")

RESTORE = "Restore a copy of it, or choose another --store."
ENROLL_FIRST = "Enroll first: edge-meta enroll BUNDLE LABEL FILE..."


class Database:
    """A store's file, bound to one encoder.

    Args:
        path: the file. It need not be there: `seed` is then put there, if given, or else the first change that may create it
            puts an empty store there.
        encoder_id, dim: what the store belongs to.
        seed: the content of a store.
        keeps_shots: whether a store that is made here does.
        upgradable: ids of the encoders whose stores can be migrated to this one, for errors to say so.

    Attributes:
        keeps_shots: whether the store does; as given while there is no file.

    Raises:
        StoreError: the file or the seed is not a store, of a newer format, of another encoder, or not readable.
    """

    def __init__(
        self,
        path: Path,
        encoder_id: str,
        dim: int,
        seed: bytes | None = None,
        keeps_shots: bool = True,
        upgradable: Collection[str] = (),
    ) -> None:
        self.path, self._encoder_id, self._dim, self.keeps_shots = path, encoder_id, dim, keeps_shots
        self._upgradable = upgradable
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        if not self.connected() and seed is not None:
            self._make(seed)

    def connected(self) -> bool:
        """Whether there is a file to read; connects to one that has appeared since. An empty file is none."""
        if self._closed:
            raise StoreError(f"{self.path} was closed.", "Load the bundle again to go on with it.")
        if self._connection is None:
            with self.translate_errors():
                if self.path.exists() and (self.path.is_dir() or self.path.stat().st_size):
                    self._connection = self._connect(self.path)
        return self._connection is not None

    def close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def query(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(sql, values)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is queried inside is of one moment."""
        with self.translate_errors(), self._transaction("DEFERRED"):
            yield

    @contextmanager
    def change(self, create: bool = False) -> Iterator[None]:
        """A transaction that writes, and is on the disk when the block ends; only with `create` does it make the file."""
        with self.translate_errors():
            if not self.connected():
                if not create:
                    raise nothing_enrolled(self.path)
                self._make(None)
            with self._transaction("IMMEDIATE"):
                yield

    def overwrite_removed(self) -> None:
        """Empty the write-ahead log, where rows that a change removed would otherwise live on for a while."""
        cause, remedy = "", ""
        with self.translate_errors():
            try:
                if self.query("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    cause, remedy = "another program is still reading the store as it was before", "Close that program"
            except sqlite3.OperationalError as error:  # a full disk, say: the file may need to grow
                cause, remedy = str(error), "Free some space"
        if cause:
            raise StoreError(
                f"{self.path}: it is removed, but {cause}, so the bytes are still on the disk.",
                f"{remedy}; the bytes go when the last program closes the store.",
            )

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """SQLite's and the file system's errors as ours; by then the transaction is rolled back."""
        try:
            yield
        except sqlite3.OperationalError as error:
            reason = str(error)
            if "locked" in reason:
                remedy = "Another program is holding it; nothing was changed. Close that program and try again."
            elif "full" in reason:
                remedy = "Nothing was changed. Free some space and try again."
            elif "disk I/O" in reason:
                remedy = "Nothing was changed. Check that the disk works and has room, and try again."
            elif "no such" in reason or "decode" in reason:
                remedy = RESTORE
            else:
                remedy = "Nothing was changed. Check that the folder exists and may be written, or use another --store."
            raise StoreError(f"{self.path}: {reason}.", remedy) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path} is not a store, or is damaged ({error}).", RESTORE) from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be used ({error}).", "Choose another --store.") from error

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self.query(f"BEGIN {kind}")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            assert self._connection is not None
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def _open(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path.absolute(), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = self._open(path)
        try:
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self, seed: bytes | None) -> None:
        """Put a store at the path, whole or not at all; one that another process has put there first is left as it is."""
        with self.translate_errors():
            create_atomically(self.path, self._create if seed is None else lambda made: self._create_from_seed(made, seed))
            self._connection = self._connect(self.path)

    def _create(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # the whole file is put on the disk before it is moved into place
            # The file remembers it. A change costs one sync, 1 to 2 times as long as a bare append; a rollback journal
            # takes several, 5 times as long (benchmarks/durability.py). And readers go on while a change is written.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(schema())
            row = (self._encoder_id, self._dim, os.urandom(16), self.keeps_shots)
            connection.execute("INSERT INTO store VALUES (?, ?, ?, ?)", row)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _create_from_seed(self, path: Path, seed: bytes) -> None:
        path.write_bytes(seed)
        with closing(self._connect(path)) as connection:
            # What is enrolled into this copy of the seed does not come from the store that was copied.
            connection.execute("UPDATE store SET origin = randomblob(16)")

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse what is not this encoder's store, and bring one of an older format up to this one."""
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreError(f"{self.path} is an SQLite file, but not a store.", "Choose another --store.")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise StoreError(
                f"{self.path} is of store format {version}; this edge_meta reads formats 1 to {FORMAT}.",
                "Run: pip install --upgrade edge-meta",
            )
        row = connection.execute("SELECT encoder_id, dim FROM store").fetchone()
        if version < 1 or row is None:
            raise StoreError(f"{self.path} is damaged: it does not say what it is.", RESTORE)
        self._require_encoder(*row)
        if version == 1:
            try:
                upgrade(connection, schema())
            except sqlite3.OperationalError as error:
                raise StoreError(
                    f"{self.path} is of store format 1 and cannot be brought up to format {FORMAT} ({error}).",
                    "Nothing was changed. Close programs that use it, or copy it to where it may be written.",
                ) from error
        (self.keeps_shots,) = map(bool, connection.execute("SELECT keeps_shots FROM store").fetchone())

    def _require_encoder(self, encoder_id: object, dim: object) -> None:
        if (encoder_id, dim) == (self._encoder_id, self._dim):
            return
        if encoder_id in self._upgradable:
            remedy = f"The bundle has a map from that encoder: edge-meta migrate BUNDLE {self.path}"
        else:
            remedy = (
                "The bundle has no map from that encoder either: use the bundle that the store was made with, or another "
                "--store and enroll again."
            )
        raise StoreError(
            f"{self.path} belongs to encoder {str(encoder_id)[:12]}, and the bundle's is {self._encoder_id[:12]}; "
            "embeddings of two encoders never mix.",
            remedy,
        )


class Copy(Database):
    """A store's content in memory, as it is when it is first read; the file stays as it is, whatever its format."""

    def _open(self, path: Path) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with closing(super()._open(path)) as source:
            source.backup(copy)
        return copy


def nothing_enrolled(path: Path) -> LabelError:
    """The error of a store that is not there, or empty.

    In the user's data folder, where a store's name ends in its encoder's id, it names what another encoder of the bundle
    has left.
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


def schema() -> str:
    return (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")


def create_atomically(path: Path, make: Callable[[Path], object]) -> bool:
    """Make a store's file elsewhere and move it to `path`, unless there is one by then; returns whether it was moved."""
    files.make_folder(path.parent)
    import tempfile  # which is slow to import, and classifying has no need of it

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:40]}.") as folder:
        made = Path(folder) / "made.db"
        make(made)
        # Left by a killed process beside a file that somebody has removed since; SQLite would replay them. They are looked
        # for before the file is: a journal that is in use is never there without it.
        journals = [Path(f"{path}{journal}") for journal in ("-wal", "-shm", "-journal")]
        left = [journal for journal in journals if journal.exists()]
        if not path.exists():
            for journal in left:
                journal.unlink(missing_ok=True)
        return files.create_unless_there(made, path)
