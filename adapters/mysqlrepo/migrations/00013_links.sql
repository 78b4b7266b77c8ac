-- +goose Up
CREATE TABLE IF NOT EXISTS links (
    token_hash BINARY(32) NOT NULL,
    id         BINARY(16) NOT NULL,
    owner_id   BINARY(16) NOT NULL,
    image_id   BINARY(16) NOT NULL,
    height     INT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    max_views  BIGINT NOT NULL,
    views      BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS links;
