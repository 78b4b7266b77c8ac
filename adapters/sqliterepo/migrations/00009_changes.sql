-- +goose Up
CREATE TABLE changes (
    version INTEGER NOT NULL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    id      BLOB    NOT NULL,
    name    TEXT    NOT NULL,
    at      INTEGER NOT NULL
);

-- +goose Down
DROP TABLE changes;
