-- +goose Up
ALTER TABLE owner_links ADD COLUMN live_until BIGINT NOT NULL DEFAULT 0, ADD KEY owner_links_live (owner_id, live_until);

-- +goose Down
ALTER TABLE owner_links DROP KEY owner_links_live, DROP COLUMN live_until;
