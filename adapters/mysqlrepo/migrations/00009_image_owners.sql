-- +goose Up
CREATE TABLE IF NOT EXISTS image_owners (
    id          BINARY(16) NOT NULL,
    owner_id    BINARY(16) NOT NULL,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS image_owners;
