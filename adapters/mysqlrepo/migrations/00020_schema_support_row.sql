-- +goose Up
INSERT IGNORE INTO schema_support (id, oldest) VALUES (1, 20);

-- +goose Down
DELETE FROM schema_support WHERE id = 1;
