-- +goose Up
CREATE TABLE IF NOT EXISTS change_entries (
    shard   INT NOT NULL,
    version BIGINT NOT NULL,
    kind    VARBINARY(32) NOT NULL,
    id      BINARY(16) NOT NULL,
    name    VARBINARY(255) NOT NULL,
    at      BIGINT NOT NULL,
    prev    BIGINT NULL,
    PRIMARY KEY (shard, version),
    KEY change_entries_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS change_entries;
