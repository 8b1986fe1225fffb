//! Statements about the outbox: the jobs that became ready and were not sent yet.
//!
//! Whoever takes or deletes entries passes over those that somebody else has locked, so nobody waits
//! here for anybody. An entry that is left so is sent once more, or deleted by upkeep.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

// ── opening ──

/// On MySQL a trigger may be there before all entries are.
pub(in crate::database) const IS_OPEN: Statement = Statement::new(
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema
         WHERE type = 'trigger' AND name = 'hereafter_entered') AS is_open",
)
.on_postgres(
    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger
         WHERE tgrelid = 'hereafter_ready'::regclass AND tgname = 'entered') AS is_open",
)
.on_mysql("SELECT EXISTS (SELECT 1 FROM hereafter_lock WHERE number = 3) AS is_open");

/// Nothing becomes ready until the end of the transaction, where it does not have the store for
/// itself; and what did before is committed.
pub(in crate::database) const HOLD_READY: Statement =
    Statement::nowhere().on_postgres("LOCK TABLE hereafter_ready IN SHARE ROW EXCLUSIVE MODE");

/// Whoever makes jobs ready enters them, whatever program it is. Of those that one statement makes
/// ready, what comes first is entered first: see the orders of the statements themselves.
pub(in crate::database) const ENTER_FROM_NOW_ON: Statement = Statement::new(
    "CREATE TRIGGER hereafter_entered AFTER INSERT ON hereafter_ready
     BEGIN INSERT INTO hereafter_outbox (seq) VALUES (new.seq); END",
)
.on_postgres(
    "CREATE OR REPLACE FUNCTION hereafter_enter() RETURNS trigger LANGUAGE plpgsql AS $function$
     BEGIN
         INSERT INTO hereafter_outbox (seq) SELECT seq FROM entered ORDER BY rank, due_at, seq;
         RETURN NULL;
     END
     $function$;
     CREATE TRIGGER entered AFTER INSERT ON hereafter_ready REFERENCING NEW TABLE AS entered
         FOR EACH STATEMENT EXECUTE FUNCTION hereafter_enter()",
)
.on_mysql(
    "CREATE TRIGGER IF NOT EXISTS hereafter_entered AFTER INSERT ON hereafter_ready
     FOR EACH ROW INSERT INTO hereafter_outbox (seq) VALUES (NEW.seq)",
);

pub(in crate::database) const ENTER_ALL: Statement = Statement::new(
    "INSERT INTO hereafter_outbox (seq) SELECT r.seq FROM hereafter_ready AS r
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_outbox AS o WHERE o.seq = r.seq)
     ORDER BY r.rank, r.due_at, r.seq",
);

#[cfg(feature = "mysql")]
pub(in crate::database) const ALL_ARE_ENTERED: Statement =
    Statement::nowhere().on_mysql("INSERT INTO hereafter_lock (number) VALUES (3)");

/// So that of many programs that open it together one does and the others wait.
#[cfg(feature = "mysql")]
pub(in crate::database) const OPEN_ALONE: Statement =
    Statement::nowhere().on_mysql("SELECT get_lock('hereafter-{lock}-outbox', 60) AS is_alone");

// ── sending ──

/// Whether something may be sent, and when the next scheduled job is due. Reads only, as `LOOK` does.
pub(in crate::database) const LOOK_UNSENT: Statement = Statement::new(
    "SELECT (SELECT o.entry FROM hereafter_outbox AS o WHERE o.held_until <= ?
             ORDER BY o.entry LIMIT 1) IS NOT NULL AS is_there,
         (SELECT due_at FROM hereafter_scheduled ORDER BY due_at LIMIT 1) AS due_at",
);

/// When the first of the entries that are all held may be sent.
pub(in crate::database) const FREE_AT: Statement =
    Statement::new("SELECT min(o.held_until) AS free_at FROM hereafter_outbox AS o");

/// The oldest entries that nobody holds, with their jobs, if they are stored still. It looks past those
/// that are held: as many as are being sent.
pub(in crate::database) const UNSENT: Statement = Statement::new(
    "SELECT taken.entry, j.id, j.queue, j.priority
     FROM (SELECT t.entry, t.seq FROM hereafter_outbox AS t
           WHERE t.held_until <= ? ORDER BY t.entry LIMIT ?) AS taken
     THEN LEFT JOIN hereafter_job AS j ON (j.seq = taken.seq)",
)
.on_servers(
    "SELECT taken.entry, j.id, j.queue, j.priority
     FROM (SELECT t.entry, t.seq FROM hereafter_outbox AS t
           WHERE t.held_until <= ? ORDER BY t.entry LIMIT ? FOR UPDATE SKIP LOCKED) AS taken
     THEN LEFT JOIN hereafter_job AS j ON (j.seq = taken.seq)",
);

pub(in crate::database) static HOLD: Bulk = Bulk::new(
    "entry int",
    "UPDATE hereafter_outbox SET held_until = ? WHERE entry IN (SELECT entry FROM input)",
);

/// Those of these entries that nobody else is changing.
pub(in crate::database) static ENTERED: Bulk = Bulk::new(
    "entry int",
    "SELECT o.entry FROM input THEN JOIN FREE hereafter_outbox AS o ON (o.entry = input.entry)",
);

/// The same by their jobs.
pub(in crate::database) static ENTERED_JOBS: Bulk = Bulk::new(
    "seq int",
    "SELECT o.entry FROM input THEN JOIN FREE hereafter_outbox AS o ON (o.seq = input.seq)",
);

pub(in crate::database) static DROP: Bulk =
    Bulk::new("entry int", "DELETE FROM hereafter_outbox WHERE entry IN (SELECT entry FROM input)");

/// Some entries that nobody holds, and whether their jobs are ready.
pub(in crate::database) const AFTER: Statement = Statement::new(
    "SELECT taken.entry, EXISTS (SELECT 1 FROM hereafter_ready AS r
             WHERE r.queue = j.queue AND r.rank = -j.priority AND r.due_at = j.due_at
               AND r.seq = j.seq) AS is_ready
     FROM (SELECT t.entry, t.seq FROM hereafter_outbox AS t
           WHERE t.entry > ? AND t.held_until <= ? ORDER BY t.entry LIMIT ?) AS taken
     THEN LEFT JOIN hereafter_job AS j ON (j.seq = taken.seq)",
);

// ── claiming ──

/// Those of these jobs that are ready, in queues that are not paused. Unlike the head of a queue, a
/// job that somebody else has locked is waited for: who is told that it is not ready throws its message
/// away.
pub(in crate::database) static READY_THESE: Bulk = Bulk::new(
    "id id",
    "SELECT j.queue, r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     THEN JOIN LOCKED hereafter_ready AS r ON (r.queue = j.queue AND r.rank = -j.priority
         AND r.due_at = j.due_at AND r.seq = j.seq)
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = j.queue)",
);

/// Takes and leases them, and deletes their entries, in one statement.
#[cfg(feature = "postgres")]
pub(in crate::database) static CLAIM_THESE: Bulk = Bulk::nowhere("id id").on_postgres(
    ", head AS (
         DELETE FROM hereafter_ready WHERE ctid = ANY(ARRAY(
             SELECT t.ctid FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
             JOIN LATERAL (SELECT ctid FROM hereafter_ready AS t
                 WHERE t.queue = j.queue AND t.rank = -j.priority
                   AND t.due_at = j.due_at AND t.seq = j.seq
                   AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = j.queue)
                 FOR UPDATE) AS t ON true))
         RETURNING rank, due_at, seq),
     leased AS (
         INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
         SELECT seq, ?, ?, ?, ? FROM head),
     sent AS (
         DELETE FROM hereafter_outbox WHERE ctid = ANY(ARRAY(
             SELECT t.ctid FROM head JOIN LATERAL (SELECT ctid FROM hereafter_outbox AS t
                 WHERE t.seq = head.seq FOR UPDATE SKIP LOCKED) AS t ON true)))
     SELECT j.queue, r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM head AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)",
);

/// Which of these jobs are stored, and whether they are due and nobody has made them ready yet.
pub(in crate::database) static STORED_THESE: Bulk = Bulk::new(
    "id id",
    "SELECT j.id, s.seq IS NOT NULL AS is_due
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     THEN LEFT JOIN hereafter_scheduled AS s ON (s.due_at = j.due_at AND s.seq = j.seq
         AND s.due_at <= ?)",
);
