-- +goose Up
CREATE TABLE IF NOT EXISTS unfinished (
    id          BINARY(16) NOT NULL,
    owner_id    BINARY(16) NOT NULL,
    state       VARBINARY(32) NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS unfinished;
