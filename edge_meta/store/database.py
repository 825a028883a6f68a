"""The connection to a store's SQLite file, and its transactions.

schema.py makes and checks the tables; reader.py and writer.py read and change their rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_meta.errors import StoreError
from edge_meta.files import remove_leftovers
from edge_meta.store.log_link import begin_log, log_header, require_own_log
from edge_meta.store.messages import RESTORE, another_encoder, nothing_enrolled, read_only, replaced, translate_errors
from edge_meta.store.placement import create_atomically, find_store, may_be_written, state_of_files
from edge_meta.store.schema import FORMAT, create_schema, migrate_to_this_format, read_header
from edge_meta.store.schema_check import limit
from edge_meta.store.scrub import empty_log, require_scrub, scrub

BUSY_SECONDS = 10.0
# In WAL mode, FULL syncs the log at each commit, so that an acknowledged change is on the disk; NORMAL would sync at the
# next checkpoint. secure_delete zeroes deleted rows. SQLite's temporary files, such as the copy that VACUUM makes, may hold
# labels: keep them in memory.
PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "temp_store = MEMORY")


class Database:
    """A store's file, bound to one encoder. Where it may not be written, it is read by way of a copy in memory.

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
        # Of the connected file: its absolute path, the same with links resolved, its device and inode.
        self._named, self._file, self._identity = str(path), path, (0, 0)
        self._copied: tuple[object, ...] | None = None  # the state of the files that are read by way of a copy
        self._copies = 0
        self._swept = False  # whether leftovers of killed processes were removed
        self._log_begins = False  # whether the log still lacks the value that tells whose it is; see log_link.py
        self._closed = False
        self.connected()

    def connected(self) -> bool:
        """Whether there is a file to read; connect if one has appeared since. An empty file counts as none.

        Raises:
            StoreError: the file that was connected is no longer there, or another one is.
        """
        if self._closed:
            raise StoreError(f"{self.path} was closed.", "Load the bundle again to go on with it.")
        if self._connection is not None:
            self.require_same_file()
            if self._copied is None or state_of_files(self._file) == self._copied:
                return True
            self._connection.close()
            self._connection = None
        with translate_errors(self.path):
            self._connect_if_there()
        return self._connection is not None

    def require_same_file(self) -> None:
        """Check that the path still leads to the connected file. SQLite would go on with a file that nobody finds again.

        Raises:
            StoreError: it does not.
        """
        try:
            there = os.stat(self._named)
        except OSError:
            raise replaced(self.path, "deleted") from None
        if (there.st_dev, there.st_ino) != self._identity:
            raise replaced(self.path, "replaced")

    def version(self) -> int:
        """A number that changes when another process has changed the file; 0 while there is none."""
        if not self.connected():
            return 0
        with translate_errors(self.path):
            return int(self.query("PRAGMA data_version").fetchone()[0]) + self._copies

    def close(self) -> None:
        """Close the file for good."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def query(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one SQL statement on the connected file."""
        return self._connected.execute(sql, values)

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
            if self._copied is not None:
                raise read_only(self.path)
            if not self._swept:
                remove_leftovers(self._file.parent)
                self._swept = True
            if removing:
                with suppress(sqlite3.OperationalError):
                    empty_log(self._connected)
            self._removes = False
            log = log_header(self._file)
            with self._transaction("IMMEDIATE"):
                if log is None or self._log_begins:
                    begin_log(self._connected)
                yield
                self.require_same_file()
            # From here on the change is made: what fails is left to the next one.
            self._log_begins = log is not None and log_header(self._file) != log  # SQLite has begun it with this change
            if self._log_begins:
                with suppress(sqlite3.OperationalError):
                    with self._transaction("IMMEDIATE"):
                        begin_log(self._connected)
                    self._log_begins = False
            self._scrub(self.busy_seconds if self._removes else 0.0)
            self.require_same_file()

    def require_scrub(self) -> None:
        """Let the change that is under way scrub what it removes when it is committed."""
        self._removes = True
        require_scrub(self._connected)

    def require_encoder(self, encoder_id: object, dim: object) -> None:
        """Check the encoder that the file names, each time that it is opened.

        Raises:
            StoreError: it is not this store's encoder.
        """
        if (encoder_id, dim) != (self.encoder_id, self.dim):
            raise another_encoder(self.path, encoder_id, self.encoder_id, self.migratable_from)

    @property
    def _connected(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _scrub(self, seconds: float) -> None:
        if self._copied is None:
            self.scrub_pending = not scrub(self._connected, seconds)

    def _room_to_remove(self) -> int:
        """The bytes of disk, at most, that removing takes: for the log into the file, for the change, and for VACUUM."""
        (pages,), (size,) = (self.query(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
        in_log = max(0, pages * size - self._file.stat().st_size)
        return int(in_log + 2 * (pages + 16) * (size + 24))

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self.query(f"BEGIN {kind}")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            if self._connected.in_transaction:
                self._connected.rollback()
            raise

    def _connect_if_there(self) -> None:
        """Connect the file that the path leads to, if there is one."""
        status = find_store(self.path)
        if status is None:
            return
        self._named, self._file = str(self.path.absolute()), self.path.resolve()
        self._identity = (status.st_dev, status.st_ino)
        self._connection = self._prepare(self._open(self._file))
        try:
            self.require_same_file()  # as before it was opened, so that this is the file that is open
        except StoreError:
            self._connection.close()
            self._connection = None
            raise
        self._scrub(0.0)

    def _open(self, file: Path) -> sqlite3.Connection:
        """Open the file, links resolved, to change it; or by way of a copy, if it may not be changed."""
        if may_be_written(file):
            require_own_log(self.path, file)
            return sqlite3.connect(file, timeout=self.busy_seconds, isolation_level=None, check_same_thread=False)
        self._copied, self._copies = state_of_files(file), self._copies + 1
        return self._copy(file)

    def _copy(self, file: Path) -> sqlite3.Connection:
        from edge_meta.store.memory_copy import copy_to_memory  # its imports are slow, and few need them

        return copy_to_memory(self.path, file)

    def _prepare(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Set the pragmas and check that this is a store of the encoder, of this format or brought up to it."""
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
            self._connect_if_there()

    def _create(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # the whole file is synced before it is moved into place
            connection.execute("PRAGMA temp_store = MEMORY")
            # The file remembers its journal mode. In WAL mode a change costs one sync, 1 to 2 times as long as a bare
            # append, and readers need not wait; a rollback journal costs several syncs, 5 times as long
            # (benchmarks/durability.py).
            connection.execute("PRAGMA journal_mode = WAL")
            create_schema(connection, self.encoder_id, self.dim, self.keeps_shots)


class Copy(Database):
    """A store's content in memory, as it is when it is first read; its files stay as they are, whatever its format.

    Raises:
        StoreError: as `Database`; or the structure of the file is damaged, or it is too large to be copied.
    """

    from_elsewhere = True

    def __init__(self, path: Path, encoder_id: str, dim: int, migratable_from: Collection[str] = ()) -> None:
        super().__init__(path, encoder_id, dim, migratable_from=migratable_from)

    def require_same_file(self) -> None:
        """The file may change or go: the copy stays."""

    def _open(self, file: Path) -> sqlite3.Connection:
        return self._copy(file)

    def _scrub(self, seconds: float) -> None:
        """Leave the bytes of what was removed: they go when the copy is closed."""
