-- +goose Up
CREATE TABLE link_owners (
    id         BLOB    NOT NULL PRIMARY KEY,
    owner_id   BLOB    NOT NULL,
    image_id   BLOB    NOT NULL,
    token_hash BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE link_owners;
