-- +goose Up
CREATE TABLE change_version (
    id      INTEGER NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
);

-- +goose Down
DROP TABLE change_version;
