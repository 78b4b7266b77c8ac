-- +goose Up
CREATE INDEX audit_actor ON audit (actor, id);

-- +goose Down
DROP INDEX audit_actor;
