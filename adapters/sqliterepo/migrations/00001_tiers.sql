-- +goose Up
CREATE TABLE tiers (
    name        TEXT    NOT NULL PRIMARY KEY,
    title       TEXT    NOT NULL,
    permissions TEXT    NOT NULL,
    limits      TEXT    NOT NULL,
    predefined  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE tiers;
