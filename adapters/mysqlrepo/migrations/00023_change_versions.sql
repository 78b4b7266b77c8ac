-- +goose Up
CREATE TABLE IF NOT EXISTS change_versions (
    shard   INT NOT NULL,
    version BIGINT NOT NULL,
    stamp   BIGINT NULL,
    prev    BIGINT NULL,
    PRIMARY KEY (shard)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS change_versions;
