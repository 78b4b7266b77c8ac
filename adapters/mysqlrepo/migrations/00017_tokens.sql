-- +goose Up
CREATE TABLE IF NOT EXISTS tokens (
    hash       BINARY(32) NOT NULL,
    id         BINARY(16) NOT NULL,
    user_id    BINARY(16) NOT NULL,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hash),
    UNIQUE KEY tokens_id (id),
    KEY tokens_user (user_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS tokens;
