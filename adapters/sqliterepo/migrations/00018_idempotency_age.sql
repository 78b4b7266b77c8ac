-- +goose Up
CREATE INDEX idempotency_age ON idempotency (owner_id, created_at);

-- +goose Down
DROP INDEX idempotency_age;
