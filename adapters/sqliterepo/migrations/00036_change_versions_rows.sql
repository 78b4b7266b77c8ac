-- +goose Up
INSERT INTO change_versions (shard, version, stamp)
SELECT a.n + 4 * b.n, 0, 1 + (random() & 4611686018427387903)
FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) a,
     (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) b;

-- +goose Down
DELETE FROM change_versions WHERE shard BETWEEN 0 AND 15;
