"""For tests of stores: files of older formats."""

from __future__ import annotations

# As it was written by the versions that made such stores.
FORMAT_1 = """
CREATE TABLE store (encoder_id TEXT NOT NULL, dim INTEGER NOT NULL, origin BLOB NOT NULL);
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT, label TEXT NOT NULL UNIQUE);
CREATE TABLE shots (
    id BLOB PRIMARY KEY, label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    origin BLOB NOT NULL, embedding BLOB NOT NULL
);
CREATE INDEX shots_of_label ON shots (label_id);
CREATE TABLE columns (
    label_id INTEGER PRIMARY KEY REFERENCES labels ON DELETE CASCADE, weights BLOB NOT NULL, bias REAL NOT NULL
);
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL CHECK (action IN ('enroll', 'adapt'))
);
CREATE TABLE log_shots (
    log_id INTEGER NOT NULL REFERENCES log ON DELETE CASCADE, shot_id BLOB NOT NULL REFERENCES shots ON DELETE CASCADE
);
CREATE INDEX log_shots_of_log ON log_shots (log_id);
CREATE INDEX log_shots_of_shot ON log_shots (shot_id);
CREATE TABLE log_columns (
    log_id INTEGER NOT NULL REFERENCES log ON DELETE CASCADE,
    label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE, weights BLOB NOT NULL, bias REAL NOT NULL
);
CREATE INDEX log_columns_of_log ON log_columns (log_id);
CREATE INDEX log_columns_of_label ON log_columns (label_id);
PRAGMA application_id = 0x454D5354;
PRAGMA user_version = 1;
"""
