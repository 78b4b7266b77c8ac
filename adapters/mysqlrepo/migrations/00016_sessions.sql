-- +goose Up
CREATE TABLE IF NOT EXISTS sessions (
    hash       BINARY(32) NOT NULL,
    user_id    BINARY(16) NOT NULL,
    epoch      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hash),
    KEY sessions_user (user_id),
    KEY sessions_expiry (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS sessions;
