-- +goose Up
INSERT IGNORE INTO change_version (id, version) VALUES (1, 0);

-- +goose Down
DELETE FROM change_version WHERE id = 1;
