-- +goose Up
CREATE TABLE user_tiers (
    tier    TEXT NOT NULL,
    user_id BLOB NOT NULL,
    PRIMARY KEY (tier, user_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE user_tiers;
