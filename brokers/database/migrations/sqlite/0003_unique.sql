-- Unique keys. A job with a key has a row here as long as it is stored; a key that is held for a
-- time may outlive its job. Jobs without a key have none, and cost what they did before.
CREATE TABLE hereafter_unique (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL,
    task       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (scope IN ('unfinished', 'queued', 'time')),
    held       INTEGER NOT NULL CHECK (held IN (0, 1)),
    held_until INTEGER CHECK ((held_until IS NULL) = (scope <> 'time'))
) STRICT;

-- At most one job of a task holds a key.
CREATE UNIQUE INDEX hereafter_unique_held ON hereafter_unique (task, key) WHERE held = 1;

CREATE INDEX hereafter_unique_time ON hereafter_unique (held_until)
    WHERE held = 1 AND scope = 'time';
