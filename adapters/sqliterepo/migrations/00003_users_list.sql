-- +goose Up
CREATE INDEX users_list ON users (deleting, id);

-- +goose Down
DROP INDEX users_list;
