-- +goose Up
CREATE TABLE IF NOT EXISTS user_tiers (
    tier    VARBINARY(255) NOT NULL,
    user_id BINARY(16) NOT NULL,
    PRIMARY KEY (tier, user_id),
    KEY user_tiers_user (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS user_tiers;
