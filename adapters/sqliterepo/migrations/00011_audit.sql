-- +goose Up
CREATE TABLE audit (
    id          BLOB    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor_id    BLOB    NOT NULL,
    actor       TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    before_json TEXT,
    after_json  TEXT,
    request_id  TEXT    NOT NULL,
    address     TEXT    NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE audit;
