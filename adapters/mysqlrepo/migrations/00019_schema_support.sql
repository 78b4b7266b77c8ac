-- +goose Up
CREATE TABLE IF NOT EXISTS schema_support (
    id     INT NOT NULL,
    oldest BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS schema_support;
