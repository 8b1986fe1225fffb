-- A job's state is the table that its `seq` is in: scheduled, ready, running, blocked or outcome.
-- Waiting, leased and ended work are thus apart, and a claim costs the same whatever waits or has
-- ended. All times are milliseconds since 1970-01-01 UTC, by this server's clock.
--
-- Names and texts are bytes, in UTF-8: no collation takes two of them for one.
--
-- A step that was interrupted is run again from its beginning, so it makes only what is missing.

-- What was asked for. Written at enqueue, and again only when an attempt did not succeed: neither a
-- claim nor a success touches this row, and what does changes no indexed column. `seq` is the order
-- of enqueueing: see `batch`.
CREATE TABLE IF NOT EXISTS hereafter_job (
    seq        BIGINT         NOT NULL,
    id         BINARY(16)     NOT NULL,
    queue      VARBINARY(64)  NOT NULL,
    task       VARBINARY(1000) NOT NULL,
    priority   TINYINT        NOT NULL CHECK (priority BETWEEN -2 AND 2),
    created_at BIGINT         NOT NULL,
    due_at     BIGINT         NOT NULL,
    expires_at BIGINT,
    failures   BIGINT         NOT NULL DEFAULT 0,
    losses     BIGINT         NOT NULL DEFAULT 0,
    recoveries BIGINT         NOT NULL DEFAULT 0,
    started_at BIGINT,
    worker     VARBINARY(1000),
    failure    LONGBLOB,
    envelope   LONGBLOB       NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY by_id (id)
) ENGINE = InnoDB;

-- Ranges of 1,048,576 numbers, one for each batch of jobs that is stored: nobody else has a number
-- in it, however many store jobs at once. A batch that knows of a job has the later range. Upkeep
-- deletes the rows; the counter goes on.
CREATE TABLE IF NOT EXISTS hereafter_batch (
    number BIGINT NOT NULL AUTO_INCREMENT,
    PRIMARY KEY (number)
) ENGINE = InnoDB;

-- What transactions lock: 0 is the store, shared by most and alone by those that touch several jobs
-- at once; 1 is for who numbers rows, and 2 for who does the upkeep.
CREATE TABLE IF NOT EXISTS hereafter_lock (
    number TINYINT NOT NULL,
    PRIMARY KEY (number)
) ENGINE = InnoDB;

INSERT IGNORE INTO hereafter_lock (number) VALUES (0), (1), (2);

-- Waits for a worker. The key is the order of handing out; `rank` is minus the priority.
CREATE TABLE IF NOT EXISTS hereafter_ready (
    queue  VARBINARY(64) NOT NULL,
    `rank` TINYINT       NOT NULL,
    due_at BIGINT        NOT NULL,
    seq    BIGINT        NOT NULL,
    PRIMARY KEY (queue, `rank`, due_at, seq)
) ENGINE = InnoDB;

-- Due later, or between two attempts.
CREATE TABLE IF NOT EXISTS hereafter_scheduled (
    due_at BIGINT        NOT NULL,
    seq    BIGINT        NOT NULL,
    queue  VARBINARY(64) NOT NULL,
    `rank` TINYINT       NOT NULL,
    PRIMARY KEY (due_at, seq)
) ENGINE = InnoDB;

-- Belongs to a worker. A receipt is current while its row is here with the same token.
CREATE TABLE IF NOT EXISTS hereafter_running (
    seq        BIGINT          NOT NULL,
    token      BIGINT          NOT NULL,
    lease_end  BIGINT          NOT NULL,
    begun      TINYINT         NOT NULL DEFAULT 0,
    started_at BIGINT          NOT NULL,
    worker     VARBINARY(1000) NOT NULL,
    PRIMARY KEY (seq)
) ENGINE = InnoDB;

-- How a job ended. `keep_until` is null for failed jobs, which stay until somebody acts.
CREATE TABLE IF NOT EXISTS hereafter_outcome (
    seq         BIGINT       NOT NULL,
    state       VARBINARY(9) NOT NULL CHECK (state IN ('done', 'failed', 'cancelled', 'expired')),
    finished_at BIGINT       NOT NULL,
    keep_until  BIGINT,
    started_at  BIGINT,
    worker      VARBINARY(1000),
    result      LONGBLOB,
    PRIMARY KEY (seq),
    -- The dead letters are few among a million successes.
    KEY by_state (state)
) ENGINE = InnoDB;

-- Which jobs ended together: ids of 16 bytes, one after the other. One row per batch and retention
-- gives handles their cursor and upkeep its list, at no cost per job. `position` is the cursor: it
-- is given by whoever reads first, after the commit, so that it rises in the order in which rows
-- became visible.
CREATE TABLE IF NOT EXISTS hereafter_finished (
    number   BIGINT   NOT NULL AUTO_INCREMENT,
    position BIGINT,
    prune_at BIGINT   NOT NULL,
    jobs     LONGBLOB NOT NULL,
    PRIMARY KEY (number),
    KEY by_prune (prune_at),
    KEY by_position (position)
) ENGINE = InnoDB;

-- Jobs that end as expired if they did not start in time. A row outlives a claim of its job and is
-- dropped when its time has come; a job that waits again after a claim gets it back.
CREATE TABLE IF NOT EXISTS hereafter_expiry (
    expires_at BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    PRIMARY KEY (expires_at, seq)
) ENGINE = InnoDB;

-- Ids of deleted jobs, so that a late repetition of an enqueue does not run one again.
CREATE TABLE IF NOT EXISTS hereafter_tombstone (
    id         BINARY(16) NOT NULL,
    keep_until BIGINT     NOT NULL,
    PRIMARY KEY (id),
    KEY by_keep (keep_until)
) ENGINE = InnoDB;

-- Queues that are held back.
CREATE TABLE IF NOT EXISTS hereafter_paused (
    queue VARBINARY(64) NOT NULL,
    PRIMARY KEY (queue)
) ENGINE = InnoDB;

-- What waits for what. A row stays while its dependant is not done, cancelled, expired or deleted:
-- so long is the outcome of the input kept. `input` is always the smaller number.
CREATE TABLE IF NOT EXISTS hereafter_input (
    input     BIGINT  NOT NULL,
    dependant BIGINT  NOT NULL CHECK (input < dependant),
    tolerant  TINYINT NOT NULL,
    owned     TINYINT NOT NULL,
    PRIMARY KEY (input, dependant),
    KEY by_dependant (dependant)
) ENGINE = InnoDB;

-- Waits for `open` inputs that have not ended. `broken` counts those that ended otherwise than as
-- done and are not tolerated, or are unknown: with the first of them the job fails, but its row
-- stays, to tell when a replay has mended all of them. `due_at` and `queue` are the job's.
CREATE TABLE IF NOT EXISTS hereafter_blocked (
    seq    BIGINT        NOT NULL,
    queue  VARBINARY(64) NOT NULL,
    due_at BIGINT        NOT NULL,
    open   BIGINT        NOT NULL CHECK (open >= 0),
    broken BIGINT        NOT NULL CHECK (broken >= 0),
    PRIMARY KEY (seq)
) ENGINE = InnoDB;

-- What ends as what. A row stays while its job is not done, cancelled or deleted: so long is the
-- outcome of `continued_by` kept. Its job has no rows as a dependant in `input`, where an input is
-- always older; `continued_by` may be newer. Together the edges of both tables make no cycle.
-- `keep_ms` is null for a job of which nothing is kept.
CREATE TABLE IF NOT EXISTS hereafter_continued (
    seq          BIGINT  NOT NULL,
    continued_by BIGINT  NOT NULL,
    keep_ms      BIGINT  CHECK (keep_ms >= 0),
    owned        TINYINT NOT NULL,
    PRIMARY KEY (seq),
    KEY by_continued_by (continued_by)
) ENGINE = InnoDB;

-- Which running jobs were cancelled together: ids of 16 bytes, one after the other. `position` is
-- given as in `finished`.
CREATE TABLE IF NOT EXISTS hereafter_cancelled (
    number   BIGINT   NOT NULL AUTO_INCREMENT,
    position BIGINT,
    prune_at BIGINT   NOT NULL,
    jobs     LONGBLOB NOT NULL,
    PRIMARY KEY (number),
    KEY by_prune (prune_at),
    KEY by_position (position)
) ENGINE = InnoDB;

-- Unique keys. A job with a key has a row here as long as it is stored; a key that is held for a
-- time may outlive its job. Jobs without a key have none. `holder` is null where the key is not held,
-- and nulls are never equal: at most one job of a task holds a key.
CREATE TABLE IF NOT EXISTS hereafter_unique (
    seq        BIGINT          NOT NULL,
    id         BINARY(16)      NOT NULL,
    task       VARBINARY(1000) NOT NULL,
    `key`      VARBINARY(2000) NOT NULL,
    scope      VARBINARY(10)   NOT NULL CHECK (scope IN ('unfinished', 'queued', 'time')),
    held       TINYINT         NOT NULL CHECK (held IN (0, 1)),
    held_until BIGINT,
    holder     TINYINT GENERATED ALWAYS AS (CASE held WHEN 1 THEN 1 END) VIRTUAL,
    PRIMARY KEY (seq),
    UNIQUE KEY by_key (task, `key`, holder),
    KEY by_time (held, held_until),
    CHECK ((held_until IS NULL) = (scope <> 'time'))
) ENGINE = InnoDB;

-- Jobs that come again and again. `spec` says when, to callers; here, the next tick counts.
CREATE TABLE IF NOT EXISTS hereafter_schedule (
    name       VARBINARY(1000) NOT NULL,
    spec       LONGBLOB        NOT NULL,
    origin     VARBINARY(8)    NOT NULL CHECK (origin IN ('declared', 'called')),
    next_at    BIGINT,
    last_at    BIGINT,
    paused     TINYINT         NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created_at BIGINT          NOT NULL,
    queue      VARBINARY(64)   NOT NULL,
    task       VARBINARY(1000) NOT NULL,
    priority   TINYINT         NOT NULL CHECK (priority BETWEEN -2 AND 2),
    expires_in BIGINT,
    envelope   LONGBLOB        NOT NULL,
    -- The latest jobs: ids of 16 bytes, one after the other, the oldest first.
    runs       LONGBLOB        NOT NULL DEFAULT ('') CHECK (length(runs) % 16 = 0),
    PRIMARY KEY (name),
    -- Those that tick, by their next tick.
    KEY by_next (paused, next_at, name)
) ENGINE = InnoDB;

-- Every task that was ever stored, with sums over its jobs. `number` is in receipts, so a row
-- stays.
CREATE TABLE IF NOT EXISTS hereafter_task (
    number          BIGINT          NOT NULL AUTO_INCREMENT,
    name            VARBINARY(1000) NOT NULL,
    `stored`        BIGINT          NOT NULL DEFAULT 0,
    done            BIGINT          NOT NULL DEFAULT 0,
    failed          BIGINT          NOT NULL DEFAULT 0,
    cancelled       BIGINT          NOT NULL DEFAULT 0,
    expired         BIGINT          NOT NULL DEFAULT 0,
    retried         BIGINT          NOT NULL DEFAULT 0,
    lost            BIGINT          NOT NULL DEFAULT 0,
    runs            BIGINT          NOT NULL DEFAULT 0,
    run_ms          BIGINT          NOT NULL DEFAULT 0,
    longest_run_ms  BIGINT          NOT NULL DEFAULT 0,
    wait_ms         BIGINT          NOT NULL DEFAULT 0,
    longest_wait_ms BIGINT          NOT NULL DEFAULT 0,
    PRIMARY KEY (number),
    UNIQUE KEY by_name (name)
) ENGINE = InnoDB;

-- What transactions add to these sums: a row each, because a row that all of them change would let
-- them commit one at a time. Upkeep adds them up.
CREATE TABLE IF NOT EXISTS hereafter_sum (
    number          BIGINT          NOT NULL AUTO_INCREMENT,
    task            VARBINARY(1000) NOT NULL,
    `stored`        BIGINT          NOT NULL DEFAULT 0,
    done            BIGINT          NOT NULL DEFAULT 0,
    failed          BIGINT          NOT NULL DEFAULT 0,
    cancelled       BIGINT          NOT NULL DEFAULT 0,
    expired         BIGINT          NOT NULL DEFAULT 0,
    retried         BIGINT          NOT NULL DEFAULT 0,
    lost            BIGINT          NOT NULL DEFAULT 0,
    runs            BIGINT          NOT NULL DEFAULT 0,
    run_ms          BIGINT          NOT NULL DEFAULT 0,
    longest_run_ms  BIGINT          NOT NULL DEFAULT 0,
    wait_ms         BIGINT          NOT NULL DEFAULT 0,
    longest_wait_ms BIGINT          NOT NULL DEFAULT 0,
    PRIMARY KEY (number)
) ENGINE = InnoDB;

-- The latest events, a row for each transaction: 17 bytes for each, a kind and an id. `last` is the
-- number of the last of them, given as positions are; numbers have no gaps, but the oldest of a row
-- may be left out.
CREATE TABLE IF NOT EXISTS hereafter_event (
    number BIGINT   NOT NULL AUTO_INCREMENT,
    last   BIGINT,
    count  BIGINT   NOT NULL,
    at     BIGINT   NOT NULL,
    events LONGBLOB NOT NULL CHECK (length(events) > 0 AND length(events) % 17 = 0),
    PRIMARY KEY (number),
    KEY by_last (last)
) ENGINE = InnoDB;

-- Deliveries that have ended, but for the one that ended its job as done: that one follows from the
-- outcome. `number` counts the deliveries of a job; the latest 100 are kept.
CREATE TABLE IF NOT EXISTS hereafter_attempt (
    seq        BIGINT          NOT NULL,
    number     BIGINT          NOT NULL,
    attempt    BIGINT          NOT NULL,
    worker     VARBINARY(1000) NOT NULL,
    started_at BIGINT          NOT NULL,
    ended_at   BIGINT          NOT NULL,
    ended_as   VARBINARY(9)    NOT NULL
        CHECK (ended_as IN ('failed', 'released', 'continued', 'lost', 'cancelled')),
    failure    LONGBLOB,
    PRIMARY KEY (seq, number)
) ENGINE = InnoDB;

-- What a job has said, and what readers of its stream want. `version` counts its reports of
-- progress, `lines` those of its log, `run` its deliveries that published items; the last of these
-- had the lease `token` and has published `items` items.
CREATE TABLE IF NOT EXISTS hereafter_report (
    seq       BIGINT   NOT NULL,
    version   BIGINT   NOT NULL DEFAULT 0,
    done      BIGINT   NOT NULL DEFAULT 0,
    total     BIGINT   NOT NULL DEFAULT 0,
    message   LONGBLOB NOT NULL DEFAULT (''),
    `lines`   BIGINT   NOT NULL DEFAULT 0,
    run       BIGINT   NOT NULL DEFAULT 0,
    token     BIGINT,
    items     BIGINT   NOT NULL DEFAULT 0,
    wanted    BIGINT   NOT NULL DEFAULT 0,
    pulled_at BIGINT,
    PRIMARY KEY (seq)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS hereafter_log (
    seq     BIGINT   NOT NULL,
    line    BIGINT   NOT NULL,
    at      BIGINT   NOT NULL,
    attempt BIGINT   NOT NULL,
    text    LONGBLOB NOT NULL,
    PRIMARY KEY (seq, line)
) ENGINE = InnoDB;

-- The items of a stream, many in a row: for each its length in 4 bytes, then its bytes. `first` is
-- the index of the first.
CREATE TABLE IF NOT EXISTS hereafter_chunk (
    seq   BIGINT   NOT NULL,
    first BIGINT   NOT NULL,
    count BIGINT   NOT NULL CHECK (count > 0),
    items LONGBLOB NOT NULL,
    PRIMARY KEY (seq, first)
) ENGINE = InnoDB;
