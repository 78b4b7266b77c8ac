-- +goose Up
CREATE TABLE IF NOT EXISTS installation (
    row_id          INT NOT NULL,
    installation_id BINARY(16) NOT NULL,
    confirmed       BOOL NOT NULL,
    sweep           VARBINARY(1024) NOT NULL,
    PRIMARY KEY (row_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS installation;
