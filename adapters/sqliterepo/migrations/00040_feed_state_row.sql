-- +goose Up
INSERT INTO feed_state (id, mark, rollout_until)
SELECT 1, 0, CASE WHEN EXISTS (SELECT 1 FROM tiers)
    THEN CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + 86400000000 ELSE 0 END;

-- +goose Down
DELETE FROM feed_state WHERE id = 1;
