-- A job's state is the table that its `seq` is in: scheduled, ready, running or outcome.
-- Waiting, leased and ended work are thus apart, and a claim costs the same whatever waits or
-- has ended. All times are milliseconds since 1970-01-01 UTC.

-- What was asked for. Written at enqueue, and again only when an attempt did not succeed:
-- neither a claim nor a success touches this row. `seq` is the order of enqueueing, and is
-- never given twice: what is left of a deleted job must not fall on a later one.
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

-- Waits for a worker. The key is the order of handing out; `rank` is minus the priority.
CREATE TABLE hereafter_ready (
    queue  TEXT    NOT NULL,
    rank   INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (queue, rank, due_at, seq)
) STRICT, WITHOUT ROWID;

-- Due later, or between two attempts.
CREATE TABLE hereafter_scheduled (
    due_at INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    queue  TEXT    NOT NULL,
    rank   INTEGER NOT NULL,
    PRIMARY KEY (due_at, seq)
) STRICT, WITHOUT ROWID;

-- Belongs to a worker. A receipt is current while its row is here with the same token.
CREATE TABLE hereafter_running (
    seq        INTEGER PRIMARY KEY,
    token      INTEGER NOT NULL,
    lease_end  INTEGER NOT NULL,
    begun      INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    worker     TEXT    NOT NULL
) STRICT;

-- How a job ended. `keep_until` is null for failed jobs, which stay until somebody acts.
CREATE TABLE hereafter_outcome (
    seq         INTEGER PRIMARY KEY,
    state       TEXT    NOT NULL CHECK (state IN ('done', 'failed', 'cancelled', 'expired')),
    finished_at INTEGER NOT NULL,
    keep_until  INTEGER,
    started_at  INTEGER,
    worker      TEXT,
    result      BLOB
) STRICT;

-- The dead letters are few among a million successes.
CREATE INDEX hereafter_outcome_failed ON hereafter_outcome (seq) WHERE state = 'failed';

-- Which jobs ended together: ids of 16 bytes, one after the other. One row per batch and
-- retention gives handles their cursor and upkeep its list, at no cost per job.
CREATE TABLE hereafter_finished (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    prune_at INTEGER NOT NULL,
    jobs     BLOB    NOT NULL
) STRICT;

CREATE INDEX hereafter_finished_prune ON hereafter_finished (prune_at);

-- Jobs that end as expired if they did not start in time. A row outlives a claim of its job and
-- is dropped when its time has come; a job that waits again after a claim gets it back.
CREATE TABLE hereafter_expiry (
    expires_at INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (expires_at, seq)
) STRICT, WITHOUT ROWID;

-- Ids of deleted jobs, so that a late repetition of an enqueue does not run one again.
CREATE TABLE hereafter_tombstone (
    id         BLOB    NOT NULL PRIMARY KEY,
    keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX hereafter_tombstone_prune ON hereafter_tombstone (keep_until);

-- Queues that are held back.
CREATE TABLE hereafter_paused (
    queue TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
