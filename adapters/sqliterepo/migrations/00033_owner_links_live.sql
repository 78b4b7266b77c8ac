-- +goose Up
ALTER TABLE owner_links ADD COLUMN live_until INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE owner_links DROP COLUMN live_until;
