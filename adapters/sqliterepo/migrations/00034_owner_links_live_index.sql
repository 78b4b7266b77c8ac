-- +goose Up
CREATE INDEX owner_links_live ON owner_links (owner_id, live_until);

-- +goose Down
DROP INDEX owner_links_live;
