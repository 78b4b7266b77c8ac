-- +goose Up
CREATE TABLE change_entries (
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    id      BLOB    NOT NULL,
    name    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    prev    INTEGER,
    PRIMARY KEY (shard, version)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE change_entries;
