-- +goose Up
CREATE TABLE schema_support (
    id     INTEGER NOT NULL PRIMARY KEY,
    oldest INTEGER NOT NULL
);

-- +goose Down
DROP TABLE schema_support;
