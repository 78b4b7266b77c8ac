-- +goose Up
CREATE INDEX change_entries_at ON change_entries (at);

-- +goose Down
DROP INDEX change_entries_at;
