-- +goose Up
CREATE INDEX changes_at ON changes (at);

-- +goose Down
DROP INDEX changes_at;
