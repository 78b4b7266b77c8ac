-- +goose Up
CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL,
    login         TEXT    UNIQUE,
    email         TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    tiers         TEXT    NOT NULL,
    permissions   TEXT    NOT NULL,
    is_admin      INTEGER NOT NULL,
    is_active     INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    deleting      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE users;
