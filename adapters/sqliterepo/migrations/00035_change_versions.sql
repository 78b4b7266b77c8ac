-- +goose Up
CREATE TABLE change_versions (
    shard   INTEGER NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    stamp   INTEGER,
    prev    INTEGER
);

-- +goose Down
DROP TABLE change_versions;
