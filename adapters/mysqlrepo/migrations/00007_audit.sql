-- +goose Up
CREATE TABLE IF NOT EXISTS audit (
    id          BINARY(16) NOT NULL,
    at          BIGINT NOT NULL,
    actor_id    BINARY(16) NOT NULL,
    actor       VARBINARY(1024) NOT NULL,
    action      TEXT NOT NULL,
    target      TEXT NOT NULL,
    before_json MEDIUMTEXT NULL,
    after_json  MEDIUMTEXT NULL,
    request_id  TEXT NOT NULL,
    address     TEXT NOT NULL,
    PRIMARY KEY (id),
    KEY audit_actor (actor, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS audit;
