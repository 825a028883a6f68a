-- The store, format 1 (PRAGMA user_version), for comparison with files that are still of it.

-- One row: which encoder the embeddings come from, and which store this is (the origin of the shots enrolled into it).
CREATE TABLE store (
    encoder_id TEXT NOT NULL,
    dim        INTEGER NOT NULL,
    origin     BLOB NOT NULL
);

CREATE TABLE labels (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL UNIQUE
);

-- Prototypes are not stored: each is the exact mean of its label's rows here (fixed point, so in whatever order).
CREATE TABLE shots (
    id        BLOB PRIMARY KEY,
    label_id  INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    origin    BLOB NOT NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX shots_of_label ON shots (label_id);

-- The linear head's columns that adaptation has moved; labels without a row have the one their prototype gives.
CREATE TABLE columns (
    label_id INTEGER PRIMARY KEY REFERENCES labels ON DELETE CASCADE,
    weights  BLOB NOT NULL,
    bias     REAL NOT NULL
);

-- What undo takes back, newest last: the shots an enroll added, and the columns that the change replaced.
CREATE TABLE log (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL CHECK (action IN ('enroll', 'adapt'))
);
CREATE TABLE log_shots (
    log_id  INTEGER NOT NULL REFERENCES log ON DELETE CASCADE,
    shot_id BLOB NOT NULL REFERENCES shots ON DELETE CASCADE
);
CREATE INDEX log_shots_of_log ON log_shots (log_id);
CREATE INDEX log_shots_of_shot ON log_shots (shot_id);
CREATE TABLE log_columns (
    log_id   INTEGER NOT NULL REFERENCES log ON DELETE CASCADE,
    label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    weights  BLOB NOT NULL,
    bias     REAL NOT NULL
);
CREATE INDEX log_columns_of_log ON log_columns (log_id);
CREATE INDEX log_columns_of_label ON log_columns (label_id);
