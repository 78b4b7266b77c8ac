-- +goose Up
CREATE TABLE IF NOT EXISTS users (
    id            BINARY(16) NOT NULL,
    username      VARBINARY(1024) NOT NULL,
    login         VARBINARY(1024) NULL,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    tiers         TEXT NOT NULL,
    permissions   TEXT NOT NULL,
    is_admin      BOOLEAN NOT NULL,
    is_active     BOOLEAN NOT NULL,
    epoch         BIGINT NOT NULL,
    deleting      BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_login (login),
    KEY users_list (deleting, id),
    KEY users_admins (is_admin, is_active, deleting)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS users;
