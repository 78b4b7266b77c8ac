-- +goose Up
CREATE INDEX link_owners_age ON link_owners (created_at);

-- +goose Down
DROP INDEX link_owners_age;
