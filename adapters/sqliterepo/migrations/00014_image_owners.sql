-- +goose Up
CREATE TABLE image_owners (
    id          BLOB    NOT NULL PRIMARY KEY,
    owner_id    BLOB    NOT NULL,
    uploaded_at INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE image_owners;
