-- +goose Up
CREATE INDEX user_tiers_user ON user_tiers (user_id);

-- +goose Down
DROP INDEX user_tiers_user;
