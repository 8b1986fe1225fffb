-- A job's state is the table that its `seq` is in: scheduled, ready, running, blocked or outcome.
-- Waiting, leased and ended work are thus apart, and a claim costs the same whatever waits or has
-- ended. All times are milliseconds since 1970-01-01 UTC, by this server's clock.
--
-- Autovacuum: rows of the tables with `autovacuum_vacuum_scale_factor = 0` live for seconds, so
-- the number of dead ones and not the share of them says when to clean, and the cleaning is short
-- and not delayed. The others hold what is kept; there the defaults fit.

-- What was asked for. Written at enqueue, and again only when an attempt did not succeed: neither a
-- claim nor a success touches this row, and what does changes no indexed column, so it needs room on
-- its page and no new index entry. `seq` is the order of enqueueing: see `batch`.
CREATE TABLE hereafter_job (
    seq        bigint  NOT NULL PRIMARY KEY,
    id         uuid    NOT NULL UNIQUE,
    queue      text COLLATE "C"    NOT NULL,
    task       text COLLATE "C"    NOT NULL,
    priority   bigint  NOT NULL CHECK (priority BETWEEN -2 AND 2),
    created_at bigint  NOT NULL,
    due_at     bigint  NOT NULL,
    expires_at bigint,
    failures   bigint  NOT NULL DEFAULT 0,
    losses     bigint  NOT NULL DEFAULT 0,
    recoveries bigint  NOT NULL DEFAULT 0,
    started_at bigint,
    worker     text,
    failure    text,
    envelope   bytea   NOT NULL
) WITH (fillfactor = 90);

-- Ranges of 1,048,576 numbers, one for each batch of jobs that is stored: nobody else has a number
-- in it, however many store jobs at once. A batch that knows of a job has the later range.
CREATE SEQUENCE hereafter_batch AS bigint MAXVALUE 8000000000000 NO CYCLE;

-- Waits for a worker. The key is the order of handing out; `rank` is minus the priority.
CREATE TABLE hereafter_ready (
    queue  text COLLATE "C"   NOT NULL,
    rank   bigint NOT NULL,
    due_at bigint NOT NULL,
    seq    bigint NOT NULL,
    PRIMARY KEY (queue, rank, due_at, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);

-- Due later, or between two attempts.
CREATE TABLE hereafter_scheduled (
    due_at bigint NOT NULL,
    seq    bigint NOT NULL,
    queue  text COLLATE "C"   NOT NULL,
    rank   bigint NOT NULL,
    PRIMARY KEY (due_at, seq)
);

-- Belongs to a worker. A receipt is current while its row is here with the same token. A lease that
-- is extended changes no indexed column: the other half of each page is for that.
CREATE TABLE hereafter_running (
    seq        bigint NOT NULL PRIMARY KEY,
    token      bigint NOT NULL,
    lease_end  bigint NOT NULL,
    begun      bigint NOT NULL DEFAULT 0,
    started_at bigint NOT NULL,
    worker     text   NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);

-- How a job ended. `keep_until` is null for failed jobs, which stay until somebody acts.
CREATE TABLE hereafter_outcome (
    seq         bigint NOT NULL PRIMARY KEY,
    state       text   NOT NULL CHECK (state IN ('done', 'failed', 'cancelled', 'expired')),
    finished_at bigint NOT NULL,
    keep_until  bigint,
    started_at  bigint,
    worker      text,
    result      bytea
);

-- The dead letters are few among a million successes.
CREATE INDEX outcome_failed ON hereafter_outcome (seq) WHERE state = 'failed';

-- Which jobs ended together: ids of 16 bytes, one after the other. One row per batch and retention
-- gives handles their cursor and upkeep its list, at no cost per job. `position` is the cursor: it
-- is given by whoever reads first, after the commit, so that it rises in the order in which rows
-- became visible.
CREATE TABLE hereafter_finished (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint,
    prune_at bigint NOT NULL,
    jobs     bytea  NOT NULL
);

-- Ids hardly compress, and the attempt costs four times as much as writing them down.
ALTER TABLE hereafter_finished ALTER COLUMN jobs SET STORAGE EXTERNAL;

CREATE INDEX finished_prune ON hereafter_finished (prune_at);
CREATE UNIQUE INDEX finished_position ON hereafter_finished (position) WHERE position IS NOT NULL;
CREATE INDEX finished_new ON hereafter_finished (number) WHERE position IS NULL;

-- Jobs that end as expired if they did not start in time. A row outlives a claim of its job and is
-- dropped when its time has come; a job that waits again after a claim gets it back.
CREATE TABLE hereafter_expiry (
    expires_at bigint NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (expires_at, seq)
);

-- Ids of deleted jobs, so that a late repetition of an enqueue does not run one again.
CREATE TABLE hereafter_tombstone (
    id         uuid   NOT NULL PRIMARY KEY,
    keep_until bigint NOT NULL
);

CREATE INDEX tombstone_prune ON hereafter_tombstone (keep_until);

-- Queues that are held back.
CREATE TABLE hereafter_paused (
    queue text COLLATE "C" NOT NULL PRIMARY KEY
);

-- What waits for what. A row stays while its dependant is not done, cancelled, expired or deleted:
-- so long is the outcome of the input kept. `input` is always the smaller number.
CREATE TABLE hereafter_input (
    input     bigint NOT NULL,
    dependant bigint NOT NULL CHECK (input < dependant),
    tolerant  bigint NOT NULL,
    owned     bigint NOT NULL,
    PRIMARY KEY (input, dependant)
);

CREATE INDEX input_dependant ON hereafter_input (dependant);

-- Waits for `open` inputs that have not ended. `broken` counts those that ended otherwise than as
-- done and are not tolerated, or are unknown: with the first of them the job fails, but its row
-- stays, to tell when a replay has mended all of them. `due_at` and `queue` are the job's.
CREATE TABLE hereafter_blocked (
    seq    bigint NOT NULL PRIMARY KEY,
    queue  text COLLATE "C"   NOT NULL,
    due_at bigint NOT NULL,
    open   bigint NOT NULL CHECK (open >= 0),
    broken bigint NOT NULL CHECK (broken >= 0)
) WITH (fillfactor = 70);

-- What ends as what. A row stays while its job is not done, cancelled or deleted: so long is the
-- outcome of `continued_by` kept. Its job has no rows as a dependant in `input`, where an input is
-- always older; `continued_by` may be newer. Together the edges of both tables make no cycle.
-- `keep_ms` is null for a job of which nothing is kept.
CREATE TABLE hereafter_continued (
    seq          bigint NOT NULL PRIMARY KEY,
    continued_by bigint NOT NULL,
    keep_ms      bigint CHECK (keep_ms >= 0),
    owned        bigint NOT NULL
);

CREATE INDEX continued_by ON hereafter_continued (continued_by);

-- Which running jobs were cancelled together: ids of 16 bytes, one after the other. `position` is
-- given as in `finished`.
CREATE TABLE hereafter_cancelled (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint,
    prune_at bigint NOT NULL,
    jobs     bytea  NOT NULL
);

CREATE INDEX cancelled_prune ON hereafter_cancelled (prune_at);
CREATE UNIQUE INDEX cancelled_position ON hereafter_cancelled (position)
    WHERE position IS NOT NULL;
CREATE INDEX cancelled_new ON hereafter_cancelled (number) WHERE position IS NULL;

-- Unique keys. A job with a key has a row here as long as it is stored; a key that is held for a
-- time may outlive its job. Jobs without a key have none.
CREATE TABLE hereafter_unique (
    seq        bigint NOT NULL PRIMARY KEY,
    id         uuid   NOT NULL,
    task       text COLLATE "C"   NOT NULL,
    key        text COLLATE "C"   NOT NULL,
    scope      text   NOT NULL CHECK (scope IN ('unfinished', 'queued', 'time')),
    held       bigint NOT NULL CHECK (held IN (0, 1)),
    held_until bigint CHECK ((held_until IS NULL) = (scope <> 'time'))
);

-- At most one job of a task holds a key.
CREATE UNIQUE INDEX unique_held ON hereafter_unique (task, key) WHERE held = 1;

-- `held > 0`, so that no statement that asks for it can be answered by the index above instead.
CREATE INDEX unique_time ON hereafter_unique (held_until) WHERE held > 0 AND scope = 'time';

-- Jobs that come again and again. `spec` says when, to callers; here, the next tick counts.
CREATE TABLE hereafter_schedule (
    name       text COLLATE "C"   NOT NULL PRIMARY KEY,
    spec       text   NOT NULL,
    origin     text   NOT NULL CHECK (origin IN ('declared', 'called')),
    next_at    bigint,
    last_at    bigint,
    paused     bigint NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created_at bigint NOT NULL,
    queue      text COLLATE "C"   NOT NULL,
    task       text COLLATE "C"   NOT NULL,
    priority   bigint NOT NULL CHECK (priority BETWEEN -2 AND 2),
    expires_in bigint,
    envelope   bytea  NOT NULL,
    -- The latest jobs: ids of 16 bytes, one after the other, the oldest first.
    runs       bytea  NOT NULL DEFAULT '' CHECK (length(runs) % 16 = 0)
);

-- Those that tick, by their next tick.
CREATE INDEX schedule_due ON hereafter_schedule (next_at, name)
    WHERE paused = 0 AND next_at IS NOT NULL;

-- Every task that was ever stored, with sums over its jobs. `number` is in receipts, so a row
-- stays.
CREATE TABLE hereafter_task (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text COLLATE "C"   NOT NULL UNIQUE,
    stored          bigint NOT NULL DEFAULT 0,
    done            bigint NOT NULL DEFAULT 0,
    failed          bigint NOT NULL DEFAULT 0,
    cancelled       bigint NOT NULL DEFAULT 0,
    expired         bigint NOT NULL DEFAULT 0,
    retried         bigint NOT NULL DEFAULT 0,
    lost            bigint NOT NULL DEFAULT 0,
    runs            bigint NOT NULL DEFAULT 0,
    run_ms          bigint NOT NULL DEFAULT 0,
    longest_run_ms  bigint NOT NULL DEFAULT 0,
    wait_ms         bigint NOT NULL DEFAULT 0,
    longest_wait_ms bigint NOT NULL DEFAULT 0
);

-- What transactions add to these sums: a row each, because a row that all of them change would let
-- them commit one at a time. Upkeep adds them up.
CREATE TABLE hereafter_sum (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task            text COLLATE "C"   NOT NULL,
    stored          bigint NOT NULL DEFAULT 0,
    done            bigint NOT NULL DEFAULT 0,
    failed          bigint NOT NULL DEFAULT 0,
    cancelled       bigint NOT NULL DEFAULT 0,
    expired         bigint NOT NULL DEFAULT 0,
    retried         bigint NOT NULL DEFAULT 0,
    lost            bigint NOT NULL DEFAULT 0,
    runs            bigint NOT NULL DEFAULT 0,
    run_ms          bigint NOT NULL DEFAULT 0,
    longest_run_ms  bigint NOT NULL DEFAULT 0,
    wait_ms         bigint NOT NULL DEFAULT 0,
    longest_wait_ms bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);

-- The latest events, a row for each transaction: 17 bytes for each, a kind and an id. `last` is the
-- number of the last of them, given as positions are; numbers have no gaps, but the oldest of a row
-- may be left out.
CREATE TABLE hereafter_event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last   bigint,
    count  bigint NOT NULL,
    at     bigint NOT NULL,
    events bytea  NOT NULL CHECK (length(events) > 0 AND length(events) % 17 = 0)
);

-- See `finished`.
ALTER TABLE hereafter_event ALTER COLUMN events SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX event_last ON hereafter_event (last) WHERE last IS NOT NULL;
CREATE INDEX event_new ON hereafter_event (number) WHERE last IS NULL;

-- Deliveries that have ended, but for the one that ended its job as done: that one follows from the
-- outcome. `number` counts the deliveries of a job; the latest 100 are kept.
CREATE TABLE hereafter_attempt (
    seq        bigint NOT NULL,
    number     bigint NOT NULL,
    attempt    bigint NOT NULL,
    worker     text   NOT NULL,
    started_at bigint NOT NULL,
    ended_at   bigint NOT NULL,
    ended_as   text   NOT NULL
        CHECK (ended_as IN ('failed', 'released', 'continued', 'lost', 'cancelled')),
    failure    text,
    PRIMARY KEY (seq, number)
);

-- What a job has said, and what readers of its stream want. `version` counts its reports of
-- progress, `lines` those of its log, `run` its deliveries that published items; the last of these
-- had the lease `token` and has published `items` items.
CREATE TABLE hereafter_report (
    seq       bigint NOT NULL PRIMARY KEY,
    version   bigint NOT NULL DEFAULT 0,
    done      bigint NOT NULL DEFAULT 0,
    total     bigint NOT NULL DEFAULT 0,
    message   text   NOT NULL DEFAULT '',
    lines     bigint NOT NULL DEFAULT 0,
    run       bigint NOT NULL DEFAULT 0,
    token     bigint,
    items     bigint NOT NULL DEFAULT 0,
    wanted    bigint NOT NULL DEFAULT 0,
    pulled_at bigint
) WITH (fillfactor = 50);

CREATE TABLE hereafter_log (
    seq     bigint NOT NULL,
    line    bigint NOT NULL,
    at      bigint NOT NULL,
    attempt bigint NOT NULL,
    text    text   NOT NULL,
    PRIMARY KEY (seq, line)
);

-- The items of a stream, many in a row: for each its length in 4 bytes, then its bytes. `first` is
-- the index of the first.
CREATE TABLE hereafter_chunk (
    seq   bigint NOT NULL,
    first bigint NOT NULL,
    count bigint NOT NULL CHECK (count > 0),
    items bytea  NOT NULL,
    PRIMARY KEY (seq, first)
);

-- Stores a job, for programs in any language: `args` is an object with the task's parameters. The
-- job is there if the transaction commits, and workers learn of it then. Answers its id.
CREATE FUNCTION hereafter_enqueue(
    task     text,
    args     json        DEFAULT '{}',
    queue    text        DEFAULT 'default',
    priority integer     DEFAULT 0,
    due      timestamptz DEFAULT NULL,
    id       uuid        DEFAULT gen_random_uuid()
) RETURNS uuid LANGUAGE plpgsql AS $function$
DECLARE
    now_at   bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    due_at   bigint := coalesce(ceil(extract(epoch FROM due) * 1000)::bigint, now_at);
    seq      bigint := nextval('hereafter_batch') * 1048576;
    envelope bytea  := convert_to(json_build_object('hereafter', 1, 'task', task, 'args', args)::text, 'UTF8');
BEGIN
    IF json_typeof(args) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'args is an object with the parameters of the task, not %', args
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF task IS NULL OR octet_length(task) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'task is a name of 1 to 255 bytes, not %', coalesce(left(task, 40) || '…', 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF queue !~ '^[A-Za-z0-9._-]{1,64}$' THEN
        RAISE EXCEPTION 'queue is 1 to 64 of a-z, A-Z, 0-9, ".", "_" and "-", not %', queue
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF priority NOT BETWEEN -2 AND 2 THEN
        RAISE EXCEPTION 'priority is -2 to 2, not %', priority
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO hereafter_job (seq, id, queue, task, priority, created_at, due_at, envelope)
    VALUES (seq, id, queue, task, priority, now_at, due_at, envelope);
    IF due_at <= now_at THEN
        INSERT INTO hereafter_ready (queue, rank, due_at, seq)
        VALUES (queue, -priority, due_at, seq);
    ELSE
        INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
        VALUES (due_at, seq, queue, -priority);
    END IF;
    INSERT INTO hereafter_sum (task, stored) VALUES (task, 1);
    INSERT INTO hereafter_event (count, at, events)
    VALUES (1, now_at, '\x00'::bytea || uuid_send(id));
    PERFORM pg_notify('hereafter:' || trim('"' FROM '{schema}'), 'n:');
    RETURN id;
END
$function$;
