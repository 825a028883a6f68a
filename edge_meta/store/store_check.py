"""The check of every page and row of a store: one from elsewhere, or one's own before rows are removed or exported.

Each value has its type and range, rows belong together, and sums are those of their shots. So a store that passes
can be read and changed by every verb.
"""

from __future__ import annotations

from collections import Counter

from edge_meta.store.exact_sums import Sums
from edge_meta.store.messages import LONGEST_LABEL
from edge_meta.store.reader import NONE, Reader
from edge_meta.store.schema import ENCODER_ID

LARGEST_NUMBER = 1 << 48  # of a row id or a revision, so that changes can go on counting
IDS = (
    ("shots", "id"), ("shots", "sum_id"), ("sums", "id"), ("sums", "origin"), ("log_sums", "sum_id"),
    ("migrated", "origin"), ("removed", "id"),
)  # fmt: skip
NUMBERS = (
    ("labels", "id"), ("log", "id"), ("sums", "label_id"), ("sums", "revision"), ("columns", "label_id"),
    ("log_columns", "label_id"), ("log_columns", "log_id"), ("log_sums", "log_id"), ("log_renames", "log_id"),
    ("log_renames", "label_id"),
)  # fmt: skip
# Rows that no store has, by what an error says of them.
CONTRADICTIONS = {
    "a step of the log is none": "SELECT 1 FROM log WHERE action NOT IN ('enroll', 'adapt')",
    "a step of the log is none of an enroll": (
        "SELECT 1 FROM log WHERE action != 'enroll' AND id IN (SELECT log_id FROM shots UNION SELECT log_id FROM log_sums)"
    ),
    "a step of the log has a column twice": "SELECT 1 FROM log_columns GROUP BY log_id, label_id HAVING count(*) > 1",
    "an enroll has more shots than there are": (
        "SELECT 1 FROM log_sums JOIN sums ON sums.id = sum_id GROUP BY sum_id HAVING sum(log_sums.count) > max(sums.count)"
    ),
    "the examples of none have a column or a name": (
        "SELECT 1 FROM labels WHERE label = '' AND id IN (SELECT label_id FROM columns "
        "UNION SELECT label_id FROM log_columns UNION SELECT label_id FROM log_renames)"
    ),
    "a shot is there and removed": (
        "SELECT 1 FROM removed WHERE id IN (SELECT id FROM shots UNION ALL SELECT id FROM sums)"
    ),
}


def check_store(rows: Reader) -> None:
    """Check every page and row of a store.

    Raises:
        StoreError: the store is damaged.
    """
    # It reads the whole file, so opening does without. Here it adds a tenth to the time at most (26 MB: 27 ms of 360).
    (answer,) = rows.row("PRAGMA quick_check(1)")
    if answer != "ok":
        raise rows.damaged(str(answer).replace("\n", " "))
    for table, column in IDS:
        if rows.query(
            f"SELECT 1 FROM {table} WHERE typeof({column}) != 'blob' OR length({column}) != 16 LIMIT 1"
        ).fetchone():
            raise rows.damaged(f"{table} has an {column} that is none")
    for table, column in NUMBERS:
        wrong = f"typeof({column}) != 'integer' OR {column} NOT BETWEEN 1 AND {LARGEST_NUMBER}"
        if rows.query(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
            raise rows.damaged(f"a {column} of {table} is out of range")
    if rows.query("PRAGMA foreign_key_check").fetchone():
        raise rows.damaged("a row belongs to nothing")
    for how, query in CONTRADICTIONS.items():
        if rows.query(f"{query} LIMIT 1").fetchone():
            raise rows.damaged(how)
    _check_texts(rows)
    for label in (None, NONE):
        rows.snapshot(label)
    rows.check_columns(rows.query("SELECT weights, bias FROM log_columns").fetchall())
    for table in ("log_sums",) if rows.keeps_shots else ("log_sums", "sums"):
        for row in rows.query(f"SELECT count, sum, squares FROM {table}").fetchall():
            rows.sums(row)
    _check_sums(rows)


def _check_texts(rows: Reader) -> None:
    for (label,) in rows.query("SELECT label FROM labels").fetchall():
        # The empty label holds the examples of none.
        if not isinstance(label, str) or len(label) > LONGEST_LABEL or (label and not label.strip()):
            raise rows.damaged(f"a label is not text, or longer than {LONGEST_LABEL:,} characters")
    for (label,) in rows.query("SELECT label FROM log_renames").fetchall():
        if not isinstance(label, str) or len(label) > LONGEST_LABEL or not label.strip():
            raise rows.damaged("a rename is from a name that is none")
    for (encoder_id,) in rows.query("SELECT encoder_id FROM migrated").fetchall():
        if not isinstance(encoder_id, str) or not ENCODER_ID.fullmatch(encoder_id):
            raise rows.damaged("an encoder id is none")


def _check_sums(rows: Reader) -> None:
    if rows.query("SELECT 1 FROM " + ("log_sums" if rows.keeps_shots else "shots")).fetchone():
        raise rows.damaged("it has rows of a store of the other kind")
    if not rows.keeps_shots:
        return
    shots = rows.query("SELECT sum_id, embedding FROM shots ORDER BY sum_id").fetchall()
    sums = rows.query("SELECT id, count, sum, squares FROM sums ORDER BY id").fetchall()
    counts = Counter(sum_id for sum_id, _ in shots)
    if list(counts) != [sum_id for sum_id, *_ in sums]:
        raise rows.damaged("a sum has no shots")
    embeddings = rows.embeddings([embedding for _, embedding in shots])
    exact = Sums.of_groups(embeddings, list(counts.values()))
    if any(of.to_row() != tuple(row) for of, (_, *row) in zip(exact, sums, strict=True)):
        raise rows.damaged("a sum is not that of its shots")
