-- +goose Up
CREATE INDEX users_admins ON users (is_admin, is_active, deleting);

-- +goose Down
DROP INDEX users_admins;
