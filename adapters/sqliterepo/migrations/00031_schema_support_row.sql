-- +goose Up
INSERT INTO schema_support (id, oldest) VALUES (1, 31);

-- +goose Down
DELETE FROM schema_support WHERE id = 1;
