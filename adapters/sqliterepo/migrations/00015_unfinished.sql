-- +goose Up
CREATE TABLE unfinished (
    id          BLOB    NOT NULL PRIMARY KEY,
    owner_id    BLOB    NOT NULL,
    state       TEXT    NOT NULL,
    lease_until INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE unfinished;
