-- Jobs that come again and again. `spec` says when, to callers; here, the next tick counts. Times
-- and spans are milliseconds.
CREATE TABLE hereafter_schedule (
    name       TEXT    NOT NULL PRIMARY KEY,
    spec       TEXT    NOT NULL,
    origin     TEXT    NOT NULL CHECK (origin IN ('declared', 'called')),
    next_at    INTEGER,
    last_at    INTEGER,
    paused     INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created_at INTEGER NOT NULL,
    queue      TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    priority   INTEGER NOT NULL CHECK (priority BETWEEN -2 AND 2),
    expires_in INTEGER,
    envelope   BLOB    NOT NULL,
    -- The latest jobs: ids of 16 bytes, one after the other, the oldest first.
    runs       BLOB    NOT NULL DEFAULT x'' CHECK (length(runs) % 16 = 0)
) STRICT;

-- Those that tick, by their next tick.
CREATE INDEX hereafter_schedule_due ON hereafter_schedule (next_at, name)
    WHERE paused = 0 AND next_at IS NOT NULL;
