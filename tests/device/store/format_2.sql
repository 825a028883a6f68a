-- As it was written by the versions that made stores of format 2, without its comments.

CREATE TABLE store (
    encoder_id  TEXT NOT NULL,
    dim         INTEGER NOT NULL,
    origin      BLOB NOT NULL,
    keeps_shots INTEGER NOT NULL
);

CREATE TABLE labels (
    id    INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE
);

CREATE TABLE sums (
    id       BLOB PRIMARY KEY,
    label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    origin   BLOB NOT NULL,
    revision INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    sum      BLOB NOT NULL,
    squares  BLOB NOT NULL
);
CREATE INDEX sums_of_label ON sums (label_id);

CREATE TABLE migrated (
    origin     BLOB PRIMARY KEY,
    encoder_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    action TEXT NOT NULL CHECK (action IN ('enroll', 'adapt'))
);

CREATE TABLE shots (
    id        BLOB PRIMARY KEY,
    sum_id    BLOB NOT NULL REFERENCES sums ON DELETE CASCADE,
    log_id    INTEGER REFERENCES log ON DELETE SET NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX shots_of_sum ON shots (sum_id);
CREATE INDEX shots_of_log ON shots (log_id);

CREATE TABLE log_sums (
    log_id  INTEGER PRIMARY KEY REFERENCES log ON DELETE CASCADE,
    sum_id  BLOB NOT NULL REFERENCES sums ON DELETE CASCADE,
    count   INTEGER NOT NULL,
    sum     BLOB NOT NULL,
    squares BLOB NOT NULL
);
CREATE INDEX log_sums_of_sum ON log_sums (sum_id);

CREATE TABLE columns (
    label_id INTEGER PRIMARY KEY REFERENCES labels ON DELETE CASCADE,
    weights  BLOB NOT NULL,
    bias     REAL NOT NULL
);
CREATE TABLE log_columns (
    log_id   INTEGER NOT NULL REFERENCES log ON DELETE CASCADE,
    label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    weights  BLOB NOT NULL,
    bias     REAL NOT NULL
);
CREATE INDEX log_columns_of_log ON log_columns (log_id);
CREATE INDEX log_columns_of_label ON log_columns (label_id);

CREATE TABLE removed (
    id BLOB PRIMARY KEY
) WITHOUT ROWID;

PRAGMA application_id = 0x454D5354;
PRAGMA user_version = 2;
