"""The connection to a store's SQLite file, and its transactions.

schema.py makes and checks the tables; reader.py and writer.py read and change their rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from edge_meta.errors import StoreError
from edge_meta.store.messages import RESTORE, another_encoder, nothing_enrolled, translate_errors
from edge_meta.store.placement import create_atomically
from edge_meta.store.schema import FORMAT, create_schema, migrate_to_this_format, read_header
from edge_meta.store.schema_check import check_size, limit

BUSY_SECONDS = 10.0
# In WAL mode, FULL syncs the log at each commit, so that an acknowledged change is on the disk; NORMAL would sync at the
# next checkpoint. secure_delete overwrites forgotten bytes.
PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")


class Database:
    """A store's file, bound to one encoder.

    Args:
        path: the file. If it is missing, the first change that may create the file puts an empty store there.
        encoder_id, dim: of the encoder whose embeddings the store holds.
        keeps_shots: whether a store that is made here keeps single shots.
        migratable_from: ids of the encoders whose stores can be migrated to this one, for the errors to say so.

    Attributes:
        keeps_shots: whether the store keeps single shots; as given while there is no file.

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
    ) -> None:
        self.path, self.encoder_id, self.dim, self.keeps_shots = path, encoder_id, dim, keeps_shots
        self.migratable_from = migratable_from
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
                    self._connection = self._connect(self.path)
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
    def change(self, create: bool = False) -> Iterator[None]:
        """Run the block in one write transaction, which is on the disk when the block ends.

        Args:
            create: make the file if there is none.

        Raises:
            LabelError: there is no file, and `create` is false.
            StoreError: the change cannot be written; nothing has changed.
        """
        with translate_errors(self.path):
            if not self.connected():
                if not create:
                    raise nothing_enrolled(self.path)
                self._make()
            with self._transaction("IMMEDIATE"):
                yield

    def overwrite_removed(self) -> None:
        """Empty the write-ahead log, which still holds the rows that a change has removed.

        Raises:
            StoreError: another program reads the old rows, or the disk is full; the bytes stay for now.
        """
        cause, remedy = "", ""
        with translate_errors(self.path):
            try:
                if self.query("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    cause, remedy = "another program is still reading the store as it was before", "Close that program"
            except sqlite3.OperationalError as error:  # such as a full disk: the file may need to grow
                cause, remedy = str(error), "Free some space"
        if cause:
            raise StoreError(
                f"{self.path}: it is removed, but {cause}, so the bytes are still on the disk.",
                f"{remedy}; the bytes go when the last program closes the store.",
            )

    def require_encoder(self, encoder_id: object, dim: object) -> None:
        """Check the encoder that the file names, each time that it is opened.

        Raises:
            StoreError: it is not this store's encoder.
        """
        if (encoder_id, dim) != (self.encoder_id, self.dim):
            raise another_encoder(self.path, encoder_id, self.encoder_id, self.migratable_from)

    def _open(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path.absolute(), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

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
            self._connection = self._connect(self.path)

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
