-- +goose Up
CREATE TABLE links (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    id         BLOB    NOT NULL,
    owner_id   BLOB    NOT NULL,
    image_id   BLOB    NOT NULL,
    height     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_views  INTEGER NOT NULL,
    views      INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE links;
