-- +goose Up
CREATE TABLE IF NOT EXISTS images (
    owner_id    BINARY(16) NOT NULL,
    id          BINARY(16) NOT NULL,
    filename    TEXT NOT NULL,
    size        BIGINT NOT NULL,
    sha256      BINARY(32) NOT NULL,
    format      VARBINARY(32) NOT NULL,
    width       INT NOT NULL,
    height      INT NOT NULL,
    frames      INT NOT NULL,
    alpha       BOOLEAN NOT NULL,
    placeholder VARBINARY(255) NOT NULL,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS images;
