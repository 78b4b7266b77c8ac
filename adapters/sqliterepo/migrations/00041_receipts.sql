-- +goose Up
CREATE TABLE receipts (
    id         BLOB    NOT NULL PRIMARY KEY,
    keep_until INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE receipts;
