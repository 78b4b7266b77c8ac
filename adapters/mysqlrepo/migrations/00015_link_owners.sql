-- +goose Up
CREATE TABLE IF NOT EXISTS link_owners (
    id         BINARY(16) NOT NULL,
    owner_id   BINARY(16) NOT NULL,
    image_id   BINARY(16) NOT NULL,
    token_hash BINARY(32) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY link_owners_age (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS link_owners;
