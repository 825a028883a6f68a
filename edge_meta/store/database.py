"""The connection to a store's SQLite file, and its transactions.

schema.py makes and checks the tables; reader.py and writer.py read and change their rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_meta.errors import StoreError
from edge_meta.store.messages import RESTORE, another_encoder, nothing_enrolled, translate_errors
from edge_meta.store.placement import create_atomically
from edge_meta.store.schema import FORMAT, create_schema, migrate_to_this_format, read_header
from edge_meta.store.schema_check import check_size, limit
from edge_meta.store.scrub import empty_log, require_scrub, scrub

BUSY_SECONDS = 10.0
# In WAL mode, FULL syncs the log at each commit, so that an acknowledged change is on the disk; NORMAL would sync at the
# next checkpoint. secure_delete zeroes deleted rows; temp_store keeps the copy that VACUUM makes out of temporary files.
PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "temp_store = MEMORY")


class Database:
    """A store's file, bound to one encoder.

    Args:
        path: the file. If it is missing, the first change that may create the file puts an empty store there.
        encoder_id, dim: of the encoder whose embeddings the store holds.
        keeps_shots: whether a store that is made here keeps single shots.
        migratable_from: ids of the encoders whose stores can be migrated to this one, for the errors to say so.
        busy_seconds: how long a change waits for other programs that hold the file.

    Attributes:
        keeps_shots: whether the store keeps single shots; as given while there is no file.
        scrub_pending: whether bytes of what was removed may still be in the file; see `scrub`. Opening the file and each
            change try again, and wait only where they have removed something themselves.

    Raises:
        StoreError: the file is not a store, of a newer format, of another encoder, or not readable.
    """

    from_elsewhere = False  # whether to check the structure of the whole file when it is opened

    def __init__(
        self,
        path: Path,
        encoder_id: str,
        dim: int,
        keeps_shots: bool = True,
        migratable_from: Collection[str] = (),
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.path, self.encoder_id, self.dim, self.keeps_shots = path, encoder_id, dim, keeps_shots
        self.migratable_from, self.busy_seconds = migratable_from, busy_seconds
        self.scrub_pending = self._removes = False
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self.connected()

    def connected(self) -> bool:
        """Whether there is a file to read; connect if one has appeared since. An empty file counts as none."""
        if self._closed:
            raise StoreError(f"{self.path} was closed.", "Load the bundle again to go on with it.")
        if self._connection is None:
            with translate_errors(self.path):
                if self.path.exists() and (self.path.is_dir() or self.path.stat().st_size):
                    self._attach()
        return self._connection is not None

    def version(self) -> int:
        """A number that changes when another process has changed the file; 0 while there is none."""
        if not self.connected():
            return 0
        with translate_errors(self.path):
            return int(self.query("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file for good."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def query(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one SQL statement on the connected file."""
        assert self._connection is not None
        return self._connection.execute(sql, values)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run the queries of the block in one read transaction."""
        with translate_errors(self.path), self._transaction("DEFERRED"):
            yield

    @contextmanager
    def change(self, create: bool = False, removing: bool = False) -> Iterator[None]:
        """Run the block in one write transaction, which is on the disk when the block ends.

        What it removed is scrubbed by then, too, unless `scrub_pending` says otherwise.

        Args:
            create: make the file if there is none.
            removing: whether it is there to remove something: on a full disk, make room, or say how much is needed.

        Raises:
            LabelError: there is no file, and `create` is false.
            StoreError: the change cannot be written; nothing has changed.
        """
        with translate_errors(self.path, self._room_to_remove if removing else None):
            if not self.connected():
                if not create:
                    raise nothing_enrolled(self.path)
                self._make()
            assert self._connection is not None
            if removing:
                with suppress(sqlite3.OperationalError):
                    empty_log(self._connection)
            self._removes = False
            with self._transaction("IMMEDIATE"):
                yield
            self._scrub(self.busy_seconds if self._removes else 0.0)

    def require_scrub(self) -> None:
        """Let the change that is under way scrub what it removes when it is committed."""
        assert self._connection is not None
        self._removes = True
        require_scrub(self._connection)

    def require_encoder(self, encoder_id: object, dim: object) -> None:
        """Check the encoder that the file names, each time that it is opened.

        Raises:
            StoreError: it is not this store's encoder.
        """
        if (encoder_id, dim) != (self.encoder_id, self.dim):
            raise another_encoder(self.path, encoder_id, self.encoder_id, self.migratable_from)

    def _open(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path.absolute(), timeout=self.busy_seconds, isolation_level=None, check_same_thread=False)

    def _attach(self) -> None:
        self._connection = self._connect(self.path)
        self._scrub(0.0)

    def _scrub(self, seconds: float) -> None:
        assert self._connection is not None
        self.scrub_pending = not scrub(self._connection, seconds)

    def _room_to_remove(self) -> int:
        """The bytes of disk, at most, that removing takes: for the log into the file, for the change, and for VACUUM."""
        (pages,), (size,) = (self.query(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
        in_log = max(0, pages * size - self.path.stat().st_size)
        return int(in_log + 2 * (pages + 16) * (size + 24))

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

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = self._open(path)
        try:
            limit(connection)
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            header = read_header(connection, self.path, self.from_elsewhere)
            self.require_encoder(header.encoder_id, header.dim)
            if header.format < FORMAT:
                migrate_to_this_format(connection, self.path, header.format)
            origin, keeps_shots = connection.execute("SELECT origin, keeps_shots FROM store").fetchone()
            if not isinstance(origin, bytes) or len(origin) != 16 or keeps_shots not in (0, 1):
                raise StoreError(f"{self.path} is damaged: it does not say what it keeps.", RESTORE)
            self.keeps_shots = bool(keeps_shots)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """Put a store at the path, whole or not at all; keep one that another process has put there first."""
        with translate_errors(self.path):
            create_atomically(self.path, self._create)
            self._attach()

    def _create(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # the whole file is synced before it is moved into place
            # The file remembers its journal mode. In WAL mode a change costs one sync, 1 to 2 times as long as a bare
            # append, and readers need not wait; a rollback journal costs several syncs, 5 times as long
            # (benchmarks/durability.py).
            connection.execute("PRAGMA journal_mode = WAL")
            create_schema(connection, self.encoder_id, self.dim, self.keeps_shots)


class Copy(Database):
    """A store's content in memory, as it is when it is first read; the file stays as it is, whatever its format.

    Raises:
        StoreError: as `Database`; or the structure of the file is damaged, or it is too large to be copied.
    """

    from_elsewhere = True

    def __init__(self, path: Path, encoder_id: str, dim: int, migratable_from: Collection[str] = ()) -> None:
        super().__init__(path, encoder_id, dim, migratable_from=migratable_from)

    def _open(self, path: Path) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with closing(super()._open(path)) as source:
            check_size(source, path)
            source.backup(copy)
        return copy

    def _scrub(self, seconds: float) -> None:
        """Leave the bytes of what was removed: the copy goes when it is closed."""
