-- +goose Up
CREATE TABLE IF NOT EXISTS feed_state (
    id            INT NOT NULL,
    mark          BIGINT NOT NULL,
    rollout_until BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS feed_state;
