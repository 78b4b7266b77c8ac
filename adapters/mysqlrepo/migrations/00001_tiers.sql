-- +goose Up
CREATE TABLE IF NOT EXISTS tiers (
    name        VARBINARY(255) NOT NULL,
    title       TEXT NOT NULL,
    permissions TEXT NOT NULL,
    limits      TEXT NOT NULL,
    predefined  BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS tiers;
