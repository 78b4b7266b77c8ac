-- +goose Up
CREATE TABLE owner_links (
    owner_id   BLOB NOT NULL,
    image_id   BLOB NOT NULL,
    id         BLOB NOT NULL,
    token_hash BLOB NOT NULL,
    PRIMARY KEY (owner_id, image_id, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE owner_links;
