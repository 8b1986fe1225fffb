-- Jobs that wait for the ends of others. A state more is a table more: blocked. A job without
-- inputs that nothing waits for has no row in these tables, and costs what it did before.

-- What waits for what. A row stays while its dependant is not done, cancelled, expired or
-- deleted: so long is the outcome of the input kept. `input` is always the smaller number.
CREATE TABLE hereafter_input (
    input     INTEGER NOT NULL,
    dependant INTEGER NOT NULL CHECK (input < dependant),
    tolerant  INTEGER NOT NULL,
    owned     INTEGER NOT NULL,
    PRIMARY KEY (input, dependant)
) STRICT, WITHOUT ROWID;

CREATE INDEX hereafter_input_dependant ON hereafter_input (dependant);

-- Waits for `open` inputs that have not ended. `broken` counts those that ended otherwise than
-- as done and are not tolerated, or are unknown: with the first of them the job fails, but its
-- row stays, to tell when a replay has mended all of them. `due_at` and `queue` are the job's.
CREATE TABLE hereafter_blocked (
    seq    INTEGER PRIMARY KEY,
    queue  TEXT    NOT NULL,
    due_at INTEGER NOT NULL,
    open   INTEGER NOT NULL CHECK (open >= 0),
    broken INTEGER NOT NULL CHECK (broken >= 0)
) STRICT;

-- Which running jobs were cancelled together: ids of 16 bytes, one after the other.
CREATE TABLE hereafter_cancelled (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    prune_at INTEGER NOT NULL,
    jobs     BLOB    NOT NULL
) STRICT;

CREATE INDEX hereafter_cancelled_prune ON hereafter_cancelled (prune_at);
