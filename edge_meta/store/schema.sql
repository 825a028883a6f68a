-- The store, format 3 (PRAGMA user_version): one SQLite file; every change is one transaction.
-- Ids are 16 random bytes, or derived from such (see rename.py). Embeddings are float32, sums int64, both little-endian and of `dim` values. The store never holds
-- an image or a recording.

-- One row: the encoder of the embeddings, the store's own id (the origin of shots enrolled into it), and whether it keeps
-- single shots (1) or their sums alone (0).
CREATE TABLE store (
    encoder_id  TEXT NOT NULL,
    dim         INTEGER NOT NULL,
    origin      BLOB NOT NULL,
    keeps_shots INTEGER NOT NULL
);

-- Every label is text that is not empty. The empty label holds the examples of none: things that are no label. It is never
-- answered, has no column, and is not renamed.
CREATE TABLE labels (
    id    INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE
);

-- The sums of a label's shots of one origin: their count, their exact sum in units of 2^-24, and the exact sum of their
-- squared lengths in units of 2^-48 (a 16-byte little-endian integer). A label's prototype is the sum of its rows, divided by
-- the sum of their counts. The revision grows with each change.
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

-- Origins whose shots came with a migrated store: they are mapped from embeddings of the encoder named here, which may itself
-- have got them from an older one.
CREATE TABLE migrated (
    origin     BLOB PRIMARY KEY,
    encoder_id TEXT NOT NULL
) WITHOUT ROWID;

-- The undo log, newest last; it keeps 100 steps at most. The tables below hold the columns that each change replaced, and the shots that it added.
CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    action TEXT NOT NULL CHECK (action IN ('enroll', 'adapt'))
);

-- The shots of a row of sums, in a store that keeps single shots; log_id is the enroll that added them, for undo.
CREATE TABLE shots (
    id        BLOB PRIMARY KEY,
    sum_id    BLOB NOT NULL REFERENCES sums ON DELETE CASCADE,
    log_id    INTEGER REFERENCES log ON DELETE SET NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX shots_of_sum ON shots (sum_id);
CREATE INDEX shots_of_log ON shots (log_id);

-- The sums that an enroll added to a row of sums, in a store that keeps no single shots.
CREATE TABLE log_sums (
    log_id  INTEGER PRIMARY KEY REFERENCES log ON DELETE CASCADE,
    sum_id  BLOB NOT NULL REFERENCES sums ON DELETE CASCADE,
    count   INTEGER NOT NULL,
    sum     BLOB NOT NULL,
    squares BLOB NOT NULL
);
CREATE INDEX log_sums_of_sum ON log_sums (sum_id);

-- The linear head's columns that adaptation has moved; a label without a row has the column of its prototype.
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

-- The name that a rename replaced. Its step of the log has the action 'enroll', but added no shots.
CREATE TABLE log_renames (
    log_id   INTEGER PRIMARY KEY REFERENCES log ON DELETE CASCADE,
    label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
    label    TEXT NOT NULL
);
CREATE INDEX log_renames_of_label ON log_renames (label_id);

-- Ids of removed shots, or of removed rows of sums in a store without single shots: merging an older copy does not bring them
-- back.
CREATE TABLE removed (
    id BLOB PRIMARY KEY
) WITHOUT ROWID;

-- One row, a random id, while bytes of removed data may be in the file: a change that removes data puts a new one there, in its
-- own transaction; it goes once VACUUM and a truncating checkpoint have written over those bytes.
CREATE TABLE scrubs (
    id BLOB PRIMARY KEY
) WITHOUT ROWID;
