-- +goose Up
CREATE TABLE feed_state (
    id            INTEGER NOT NULL PRIMARY KEY,
    mark          INTEGER NOT NULL,
    rollout_until INTEGER NOT NULL
);

-- +goose Down
DROP TABLE feed_state;
