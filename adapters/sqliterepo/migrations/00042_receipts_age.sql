-- +goose Up
CREATE INDEX receipts_age ON receipts (keep_until);

-- +goose Down
DROP INDEX receipts_age;
