-- +goose Up
CREATE TABLE IF NOT EXISTS owner_links (
    owner_id   BINARY(16) NOT NULL,
    image_id   BINARY(16) NOT NULL,
    id         BINARY(16) NOT NULL,
    token_hash BINARY(32) NOT NULL,
    PRIMARY KEY (owner_id, image_id, id),
    UNIQUE KEY owner_links_all (owner_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS owner_links;
