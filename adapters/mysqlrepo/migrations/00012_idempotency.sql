-- +goose Up
CREATE TABLE IF NOT EXISTS idempotency (
    owner_id    BINARY(16) NOT NULL,
    key_hash    BINARY(32) NOT NULL,
    image_id    BINARY(16) NOT NULL,
    done        BOOLEAN NOT NULL,
    sha256      BINARY(32) NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (owner_id, key_hash),
    KEY idempotency_age (owner_id, created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS idempotency;
