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

CREATE TABLE hereafter_blocked (
    seq    INTEGER PRIMARY KEY,
    queue  TEXT    NOT NULL,
    due_at INTEGER NOT NULL,
    open   INTEGER NOT NULL CHECK (open >= 0),
    broken INTEGER NOT NULL CHECK (broken >= 0)
) STRICT;

CREATE TABLE hereafter_cancelled (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    prune_at INTEGER NOT NULL,
    jobs     BLOB    NOT NULL
) STRICT;

CREATE INDEX hereafter_cancelled_prune ON hereafter_cancelled (prune_at);

CREATE TABLE hereafter_chunk (
    seq   INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    items BLOB    NOT NULL,
    PRIMARY KEY (seq, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE hereafter_continued (
    seq          INTEGER PRIMARY KEY,
    continued_by INTEGER NOT NULL,
    keep_ms      INTEGER CHECK (keep_ms >= 0),
    owned        INTEGER NOT NULL
) STRICT;

CREATE INDEX hereafter_continued_by ON hereafter_continued (continued_by);

CREATE TABLE hereafter_event (
    last   INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    events BLOB    NOT NULL CHECK (length(events) > 0 AND length(events) % 17 = 0)
) STRICT;

CREATE TABLE hereafter_expiry (
    expires_at INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (expires_at, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE hereafter_finished (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    prune_at INTEGER NOT NULL,
    jobs     BLOB    NOT NULL
) STRICT;

CREATE INDEX hereafter_finished_prune ON hereafter_finished (prune_at);

CREATE TABLE hereafter_input (
    input     INTEGER NOT NULL,
    dependant INTEGER NOT NULL CHECK (input < dependant),
    tolerant  INTEGER NOT NULL,
    owned     INTEGER NOT NULL,
    PRIMARY KEY (input, dependant)
) STRICT, WITHOUT ROWID;

CREATE INDEX hereafter_input_dependant ON hereafter_input (dependant);

CREATE TABLE hereafter_job (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    queue      TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    priority   INTEGER NOT NULL CHECK (priority BETWEEN -2 AND 2),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    expires_at INTEGER,
    failures   INTEGER NOT NULL DEFAULT 0,
    losses     INTEGER NOT NULL DEFAULT 0,
    recoveries INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    worker     TEXT,
    failure    TEXT,
    envelope   BLOB    NOT NULL
) STRICT;

CREATE TABLE hereafter_log (
    seq     INTEGER NOT NULL,
    line    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (seq, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE hereafter_outbox (
    entry      INTEGER PRIMARY KEY AUTOINCREMENT,
    seq        INTEGER NOT NULL,
    held_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX hereafter_outbox_job ON hereafter_outbox (seq);

CREATE TABLE hereafter_outcome (
    seq         INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL CHECK (state IN ('done', 'failed', 'cancelled', 'expired')),
    finished_at INTEGER NOT NULL,
    keep_until  INTEGER,
    started_at  INTEGER,
    worker      TEXT,
    result      BLOB
) STRICT;

CREATE INDEX hereafter_outcome_failed ON hereafter_outcome (seq) WHERE state = 'failed';

CREATE TABLE hereafter_paused (
    queue TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE hereafter_ready (
    queue  TEXT    NOT NULL,
    rank   INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (queue, rank, due_at, seq)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE hereafter_running (
    seq        INTEGER PRIMARY KEY,
    token      INTEGER NOT NULL,
    lease_end  INTEGER NOT NULL,
    begun      INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    worker     TEXT    NOT NULL
) STRICT;

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

CREATE INDEX hereafter_schedule_due ON hereafter_schedule (next_at, name)
    WHERE paused = 0 AND next_at IS NOT NULL;

CREATE TABLE hereafter_scheduled (
    due_at INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    queue  TEXT    NOT NULL,
    rank   INTEGER NOT NULL,
    PRIMARY KEY (due_at, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE hereafter_schema (
    version    INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT;

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

CREATE TABLE hereafter_tombstone (
    id         BLOB    NOT NULL PRIMARY KEY,
    keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX hereafter_tombstone_prune ON hereafter_tombstone (keep_until);

CREATE TABLE hereafter_unique (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL,
    task       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (scope IN ('unfinished', 'queued', 'time')),
    held       INTEGER NOT NULL CHECK (held IN (0, 1)),
    held_until INTEGER CHECK ((held_until IS NULL) = (scope <> 'time'))
) STRICT;

CREATE UNIQUE INDEX hereafter_unique_held ON hereafter_unique (task, key) WHERE held = 1;

CREATE INDEX hereafter_unique_time ON hereafter_unique (held_until)
    WHERE held = 1 AND scope = 'time';
