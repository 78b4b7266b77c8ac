-- +goose Up
CREATE UNIQUE INDEX owner_links_all ON owner_links (owner_id, id);

-- +goose Down
DROP INDEX owner_links_all;
