-- +goose Up
CREATE TABLE usages (
    owner_id BLOB    NOT NULL PRIMARY KEY,
    images   INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE usages;
