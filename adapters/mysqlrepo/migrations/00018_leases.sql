-- +goose Up
CREATE TABLE IF NOT EXISTS leases (
    name        VARBINARY(255) NOT NULL,
    holder      VARBINARY(255) NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS leases;
