"""Store files that others made run nothing, cost little, and are refused as a whole."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.device import altered, bytes_in, cli, complaint, embeddings, opened, state
from support.stores import FORMAT_1

from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.schema_check import check_size, deadline
from edge_meta.store.store import Store

ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT"
VIEWS = {
    "store": f"{ENDLESS} 'x' AS encoder_id, 16 AS dim, x'00' AS origin, 1 AS keeps_shots FROM n WHERE i < 0",
    "labels": f"{ENDLESS} i AS id, 'l' || i AS label FROM n",
    "removed": "SELECT zeroblob(1000000000) AS id",
}
SCHEMAS = {
    "trigger": "CREATE TRIGGER keep BEFORE DELETE ON labels BEGIN INSERT INTO removed VALUES (old.label); END",
    "undeletable": "CREATE TRIGGER no BEFORE DELETE ON shots BEGIN SELECT RAISE(IGNORE); END",
    "table": "CREATE TABLE another (label TEXT)",
    "index": "CREATE INDEX slow ON labels (length(zeroblob(id)))",
    "column": "ALTER TABLE labels ADD COLUMN more AS (zeroblob(1000000000))",
    "no index": "DROP INDEX sums_of_label",
    **{f"view {name}": f"DROP TABLE {name}; CREATE VIEW {name} AS {select}" for name, select in VIEWS.items()},
}


def run_sql(path: Path, script: str) -> Path:
    """Run statements on a file, without checks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


@pytest.fixture
def copy(filled: Store, tmp_path: Path) -> Path:
    """A copy of the closed store `filled`."""
    filled.close()
    (tmp_path / "copy.db").write_bytes(filled.path.read_bytes())
    return run_sql(tmp_path / "copy.db", "")


@pytest.mark.parametrize("name", SCHEMAS)
def test_another_schema_is_refused_before_it_runs(copy: Path, tmp_path: Path, name: str) -> None:
    run_sql(copy, SCHEMAS[name])
    before, started = copy.read_bytes(), time.monotonic()
    with pytest.raises(StoreError, match=r"copy\.db does not have the schema of store format \d"):
        opened(copy)
    with opened(tmp_path / "mine.db") as mine:
        mine.enroll("mine", embeddings(9, 1))
        now = state(mine)
        with pytest.raises(StoreError, match=r"copy\.db does not have the schema"):
            mine.merge(copy)
        assert state(mine) == now
    with pytest.raises(StoreError, match=r"new\.db cannot be made: the bundle's prototypes\.db does not have the schema"):
        opened(tmp_path / "new.db", seed=before)
    assert not (tmp_path / "new.db").exists()
    assert copy.read_bytes() == before
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("statement", ["CREATE TABLE more (x)", "CREATE VIEW labels_2 AS SELECT 1", "DROP TABLE log_shots"])
def test_another_schema_of_an_old_format_is_refused(tmp_path: Path, statement: str) -> None:
    path = run_sql(tmp_path / "old.db", f"{FORMAT_1};{statement}")
    with pytest.raises(StoreError, match=r"old\.db does not have the schema of store format 1"):
        opened(path)


def test_inspect_and_migrate_refuse_another_schema(bundle: Bundle, tmp_path: Path) -> None:
    path, manifest = tmp_path / "its.db", bundle.manifest
    with opened(path, encoder_id=manifest.encoder_id, dim=manifest.dim) as store:
        store.enroll("alef", embeddings(0, 2, manifest.dim))
    run_sql(path, SCHEMAS["view labels"])
    for arguments in (
        ["inspect", "omniglot", "--store", path],
        ["migrate", "omniglot", path, "--store", tmp_path / "new.db"],
    ):
        assert "does not have the schema" in complaint(cli(*arguments, code=1))


def test_a_sparse_store_is_refused_at_once(copy: Path, tmp_path: Path) -> None:
    with copy.open("r+b") as file:
        file.truncate(3 << 30)
    with opened(tmp_path / "mine.db") as mine, pytest.raises(StoreError, match=r"3,221,225,472 bytes.*may have 536,870,912"):
        mine.merge(copy)


def test_a_file_that_says_it_is_larger_is_refused(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        with pytest.raises(StoreError, match=r"may have 4,096"):
            check_size(connection, copy, largest=4096)
        check_size(connection, copy, largest=copy.stat().st_size)


def test_a_check_ends_at_its_deadline(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreError, match=r"any\.db takes longer than 0\.05 s"),
        deadline(connection, tmp_path / "any.db", seconds=0.05),
    ):
        connection.execute(f"{ENDLESS} max(i) FROM n")


def test_pages_that_two_tables_share_are_refused(copy: Path, tmp_path: Path) -> None:
    run_sql(
        copy,
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = "
        "(SELECT rootpage FROM sqlite_master WHERE name = 'labels') WHERE name = 'log'",
    )
    with opened(tmp_path / "mine.db") as mine, pytest.raises(StoreError, match=r"copy\.db.*damaged"):
        mine.merge(copy)


def test_a_seed_is_copied_by_rows_and_not_by_pages(copy: Path, tmp_path: Path) -> None:
    with opened(copy) as lived:
        lived.enroll("he", embeddings(5, 3))
        lived.undo()
        wanted, ids = state(lived), lived.shots()
    hidden = "CREATE TABLE hidden (x); INSERT INTO hidden VALUES ('in a free page'); DROP TABLE hidden"
    run_sql(copy, f"PRAGMA secure_delete = OFF; {hidden}")
    assert b"in a free page" in copy.read_bytes()
    with opened(tmp_path / "new" / "mine.db", seed=copy.read_bytes()) as mine:
        assert state(mine) == wanted
        assert mine.shots() == ids
        assert mine.undo().label == "gimel"
    assert b"in a free page" not in bytes_in(tmp_path / "new")


def test_a_trigger_in_a_bundle_cannot_keep_what_is_forgotten(tmp_path: Path, bundle: Bundle) -> None:
    path, manifest = tmp_path / "seed.db", bundle.manifest
    with opened(path, encoder_id=manifest.encoder_id, dim=manifest.dim) as store:
        store.enroll("alef", embeddings(0, 2, manifest.dim))
    folder = altered(tmp_path, files={"prototypes.db": run_sql(path, SCHEMAS["trigger"]).read_bytes()})
    with pytest.raises(StoreError, match=r"prototypes\.db does not have the schema.*keep.*Get the bundle again"):
        Bundle.open(folder).open_store(tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
