-- +goose Up
CREATE TABLE IF NOT EXISTS receipts (
    id         BINARY(16) NOT NULL,
    keep_until BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY receipts_age (keep_until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS receipts;
