-- +goose Up
CREATE TABLE sessions (
    hash       BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE sessions;
