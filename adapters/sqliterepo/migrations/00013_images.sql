-- +goose Up
CREATE TABLE images (
    owner_id    BLOB    NOT NULL,
    id          BLOB    NOT NULL,
    filename    TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    sha256      BLOB    NOT NULL,
    format      TEXT    NOT NULL,
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    frames      INTEGER NOT NULL,
    alpha       INTEGER NOT NULL,
    placeholder BLOB    NOT NULL,
    uploaded_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE images;
