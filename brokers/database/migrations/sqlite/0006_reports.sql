-- What running jobs say, and what happened. A job that says nothing and is done in its first
-- delivery has no row of its own in these tables.

-- Every task that was ever stored, with sums over its jobs. `number` is in receipts, so a row
-- stays. Times are milliseconds.
CREATE TABLE hereafter_task (
    number          INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    stored          INTEGER NOT NULL DEFAULT 0,
    done            INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    cancelled       INTEGER NOT NULL DEFAULT 0,
    expired         INTEGER NOT NULL DEFAULT 0,
    retried         INTEGER NOT NULL DEFAULT 0,
    lost            INTEGER NOT NULL DEFAULT 0,
    runs            INTEGER NOT NULL DEFAULT 0,
    run_ms          INTEGER NOT NULL DEFAULT 0,
    longest_run_ms  INTEGER NOT NULL DEFAULT 0,
    wait_ms         INTEGER NOT NULL DEFAULT 0,
    longest_wait_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is known of the jobs of before: how many there are, and how they ended.
INSERT INTO hereafter_task (name, stored, done, failed, cancelled, expired)
SELECT j.task, count(*),
    count(*) FILTER (WHERE o.state = 'done'), count(*) FILTER (WHERE o.state = 'failed'),
    count(*) FILTER (WHERE o.state = 'cancelled'), count(*) FILTER (WHERE o.state = 'expired')
FROM hereafter_job AS j LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
GROUP BY j.task;

-- The latest events, a row for each transaction: 17 bytes for each, a kind and an id. `last` is
-- the number of the last of them; numbers have no gaps, but the oldest of a row may be left out.
CREATE TABLE hereafter_event (
    last   INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    events BLOB    NOT NULL CHECK (length(events) > 0 AND length(events) % 17 = 0)
) STRICT;

-- Deliveries that have ended, but for the one that ended its job as done: that one follows from
-- the outcome. `number` counts the deliveries of a job; the latest 100 are kept.
CREATE TABLE hereafter_attempt (
    seq        INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    ended_as   TEXT    NOT NULL
        CHECK (ended_as IN ('failed', 'released', 'continued', 'lost', 'cancelled')),
    failure    TEXT,
    PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;

-- What a job has said, and what readers of its stream want. `version` counts its reports of
-- progress, `lines` those of its log, `run` its deliveries that published items; the last of these
-- had the lease `token` and has published `items` items.
CREATE TABLE hereafter_report (
    seq       INTEGER PRIMARY KEY,
    version   INTEGER NOT NULL DEFAULT 0,
    done      INTEGER NOT NULL DEFAULT 0,
    total     INTEGER NOT NULL DEFAULT 0,
    message   TEXT    NOT NULL DEFAULT '',
    lines     INTEGER NOT NULL DEFAULT 0,
    run       INTEGER NOT NULL DEFAULT 0,
    token     INTEGER,
    items     INTEGER NOT NULL DEFAULT 0,
    wanted    INTEGER NOT NULL DEFAULT 0,
    pulled_at INTEGER
) STRICT;

CREATE TABLE hereafter_log (
    seq     INTEGER NOT NULL,
    line    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (seq, line)
) STRICT, WITHOUT ROWID;

-- The items of a stream, many in a row: for each its length in 4 bytes, then its bytes. `first` is
-- the index of the first.
CREATE TABLE hereafter_chunk (
    seq   INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    items BLOB    NOT NULL,
    PRIMARY KEY (seq, first)
) STRICT, WITHOUT ROWID;
