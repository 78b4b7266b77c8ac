-- +goose Up
CREATE INDEX tokens_user ON tokens (user_id, id);

-- +goose Down
DROP INDEX tokens_user;
