-- +goose Up
CREATE TABLE idempotency (
    owner_id    BLOB    NOT NULL,
    key_hash    BLOB    NOT NULL,
    image_id    BLOB    NOT NULL,
    done        INTEGER NOT NULL,
    sha256      BLOB    NOT NULL,
    lease_until INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key_hash)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE idempotency;
