-- +goose Up
CREATE TABLE installation (
    row_id          INTEGER NOT NULL PRIMARY KEY,
    installation_id BLOB    NOT NULL,
    confirmed       INTEGER NOT NULL,
    sweep           TEXT    NOT NULL
);

-- +goose Down
DROP TABLE installation;
