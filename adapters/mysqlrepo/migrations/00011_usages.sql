-- +goose Up
CREATE TABLE IF NOT EXISTS usages (
    owner_id BINARY(16) NOT NULL,
    images   BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    PRIMARY KEY (owner_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS usages;
