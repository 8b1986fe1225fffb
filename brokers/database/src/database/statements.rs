//! Every statement, with its reason.
//!
//! Parameters are question marks in the order of the text. Table names are constants; user
//! text is only ever bound.

use super::bulk::Bulk;
use super::dialect::Statement;

pub(super) mod at_once;
pub(super) mod continued;
pub(super) mod filters;
pub(super) mod history;
pub(super) mod inputs;
pub(super) mod inside;
pub(super) mod numbering;
pub(super) mod outbox;
pub(super) mod reports;
pub(super) mod schedules;
pub(crate) mod transactions;
pub(super) mod unique;
mod upkeep;

pub(super) use upkeep::*;

// ── enqueue ──

/// Stores what is not stored yet. The rows get rising numbers in the order of the batch; a row
/// that is left out may leave a gap.
/// `ON CONFLICT (id)` and not `OR IGNORE`, which would also swallow a broken constraint.
pub(super) static ENQUEUE: Bulk = Bulk::new(
    "seq int, id id, queue text, task text, priority int, due_at int, expires_at int, \
     envelope bytes",
    "INSERT INTO hereafter_job
         (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope)
     SELECT seq, id, queue, task, priority, ?, due_at, expires_at, envelope FROM input
     WHERE id IS NOT NULL
       AND coalesce((SELECT t.keep_until FROM hereafter_tombstone AS t WHERE t.id = input.id), 0)
           <= ?
     ON CONFLICT (id) DO NOTHING",
);

/// The same where a job that is there already is an error: that takes a quarter of the time off on
/// PostgreSQL, and MySQL then says how many were new.
pub(super) static ENQUEUE_NEW: Bulk = Bulk::nowhere(
    "seq int, id id, queue text, task text, priority int, due_at int, expires_at int, \
     envelope bytes",
)
.on_servers(
    "INSERT INTO hereafter_job
         (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope)
     SELECT seq, id, queue, task, priority, ?, due_at, expires_at, envelope FROM input
     WHERE id IS NOT NULL
       AND coalesce((SELECT t.keep_until FROM hereafter_tombstone AS t WHERE t.id = input.id), 0)
           <= ?",
);

/// The same for many rows, whose tombstones are looked for [behind it](ENQUEUED_BEFORE): without bound
/// values on PostgreSQL, and with as many rows of bound values behind it on MySQL, which would take
/// longer to read them from a JSON text than to store them.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const ENQUEUE_MANY: Statement = Statement::nowhere()
    .on_postgres(
        "COPY hereafter_job
             (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope)
         FROM STDIN (FORMAT binary)",
    )
    .on_mysql(
        "INSERT INTO hereafter_job
             (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope)
         VALUES ",
    );

/// Whether a job of these was stored and deleted before. Asked after they are stored: whoever deleted
/// one that was there had committed its tombstone by then.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) const ENQUEUED_BEFORE: Statement = Statement::nowhere().on_servers(
    "SELECT 1 FROM hereafter_job AS j
     WHERE j.seq BETWEEN ? AND ?
       AND coalesce((SELECT t.keep_until FROM hereafter_tombstone AS t WHERE t.id = j.id), 0) > ?
     LIMIT 1",
);

pub(super) const ENQUEUE_READY: Statement = Statement::new(
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, -priority, due_at, seq FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND due_at <= ?",
);

pub(super) const ENQUEUE_SCHEDULED: Statement = Statement::new(
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT due_at, seq, queue, -priority FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND due_at > ?",
);

/// The same for jobs of different priorities, in the order of handing out: they are entered in the
/// outbox as they come.
pub(super) const ENQUEUE_READY_SORTED: Statement = Statement::new(
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, -priority, due_at, seq FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND due_at <= ? ORDER BY -priority, due_at, seq",
);

/// The number of a range of 1,048,576 that nobody else is given.
pub(super) const NEXT_BATCH: Statement = Statement::nowhere()
    .on_postgres("SELECT nextval('hereafter_batch') AS number")
    .on_mysql("INSERT INTO hereafter_batch () VALUES ()");

/// The same for a batch with inputs: what waits for them, or failed because of one, is neither.
pub(super) const ENQUEUE_READY_UNBLOCKED: Statement = Statement::new(
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT j.queue, -j.priority, j.due_at, j.seq FROM hereafter_job AS j
     WHERE j.seq BETWEEN ? AND ? AND j.due_at <= ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_blocked AS b WHERE b.seq = j.seq)
     ORDER BY -j.priority, j.due_at, j.seq",
);

pub(super) const ENQUEUE_SCHEDULED_UNBLOCKED: Statement = Statement::new(
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT j.due_at, j.seq, j.queue, -j.priority FROM hereafter_job AS j
     WHERE j.seq BETWEEN ? AND ? AND j.due_at > ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_blocked AS b WHERE b.seq = j.seq)",
);

/// A row that somebody left there must not keep the job from being stored.
pub(super) const ENQUEUE_EXPIRY: Statement = Statement::new(
    "INSERT INTO hereafter_expiry (expires_at, seq)
     SELECT expires_at, seq FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND expires_at IS NOT NULL
     ON CONFLICT (expires_at, seq) DO NOTHING",
);

/// Which of a batch were stored, if not all.
pub(super) const ENQUEUED: Statement =
    Statement::new("SELECT id FROM hereafter_job WHERE seq BETWEEN ? AND ?")
        // With a lock that it has anyway, so that nothing is read as of now in a transaction of a user.
        .on_mysql("SELECT id FROM hereafter_job WHERE seq BETWEEN ? AND ? LOCK IN SHARE MODE");

// ── reserve ──

/// Whether a claim could find something, and when the next scheduled job is due. Reads only:
/// an idle worker writes nothing, and so does not wake itself.
pub(super) const LOOK: Statement = Statement::new(
    "SELECT
     EXISTS (SELECT 1 FROM {names} AS asked
             WHERE (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = asked.name) IS NULL
               AND (SELECT 1 FROM hereafter_ready AS r WHERE r.queue = asked.name LIMIT 1)
                   IS NOT NULL) AS ready,
     (SELECT due_at FROM hereafter_scheduled ORDER BY due_at LIMIT 1) AS due_at",
);

/// The order of due times, so that a bounded promotion takes the oldest; of these, those that are
/// handed out first come first.
pub(super) const PROMOTE: Statement = Statement::new(
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, rank, due_at, seq FROM
         (SELECT queue, rank, due_at, seq FROM hereafter_scheduled
          WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?) AS due
     ORDER BY rank, due_at, seq",
)
.on_postgres(
    "WITH gone AS (
         DELETE FROM hereafter_scheduled WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM hereafter_scheduled WHERE due_at <= ?
             ORDER BY due_at, seq LIMIT ? FOR UPDATE SKIP LOCKED))
         RETURNING queue, rank, due_at, seq)
     INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, rank, due_at, seq FROM gone",
);

/// The due rows that nobody else is taking; where they are taken in steps.
#[cfg(feature = "mysql")]
pub(super) const DUE: Statement = Statement::nowhere().on_mysql(
    "SELECT rank, due_at, seq FROM hereafter_scheduled
     WHERE due_at <= ? ORDER BY due_at, seq LIMIT ? FOR UPDATE SKIP LOCKED",
);

#[cfg(feature = "mysql")]
pub(super) static PROMOTE_THESE: Bulk = Bulk::nowhere("due_at int, seq int").on_mysql(
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT s.queue, s.rank, s.due_at, s.seq FROM input
     THEN JOIN hereafter_scheduled AS s ON (s.due_at = input.due_at AND s.seq = input.seq)
     ORDER BY s.rank, s.due_at, s.seq",
);

#[cfg(feature = "mysql")]
pub(super) static UNSCHEDULE_THESE: Bulk = Bulk::nowhere("due_at int, seq int").on_mysql(
    "DELETE hereafter_scheduled FROM input STRAIGHT_JOIN hereafter_scheduled
     WHERE hereafter_scheduled.due_at = input.due_at AND hereafter_scheduled.seq = input.seq",
);

/// The last of so many rows.
pub(super) const LAST_PROMOTED: Statement = Statement::new(
    "SELECT due_at, seq FROM hereafter_scheduled
     ORDER BY due_at, seq LIMIT 1 OFFSET ?",
);

/// The same rows as one range. With the key as a subquery, SQLite would walk over all rows of
/// the last due time, which may be a million.
pub(super) const PROMOTED: Statement =
    Statement::new("DELETE FROM hereafter_scheduled WHERE (due_at, seq) <= (?, ?)");

/// The head of a queue, in the order of its key, because that is the first table. It also tells
/// whether any job has a unique key, which spares a claim from asking.
pub(super) const HEAD: Statement = Statement::new(
    "SELECT r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM hereafter_ready AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)
     WHERE r.queue = ? AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = ?)
     ORDER BY r.rank, r.due_at, r.seq LIMIT ?",
)
.on_mysql(
    "SELECT r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM (SELECT t.rank, t.due_at, t.seq FROM hereafter_ready AS t
           WHERE t.queue = ?
             AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = ?)
           ORDER BY t.rank, t.due_at, t.seq LIMIT ? FOR UPDATE SKIP LOCKED) AS r
     THEN JOIN hereafter_job AS j ON (j.seq = r.seq)
     ORDER BY r.rank, r.due_at, r.seq",
);

/// Takes the head of a queue and leases it, in one statement: what others are taking is passed over.
#[cfg(feature = "postgres")]
pub(super) const CLAIM: Statement = Statement::nowhere().on_postgres(
    "WITH head AS (
         DELETE FROM hereafter_ready WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM hereafter_ready AS r WHERE r.queue = ?
               AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = ?)
             ORDER BY r.rank, r.due_at, r.seq LIMIT ? FOR UPDATE SKIP LOCKED))
         RETURNING rank, due_at, seq),
     leased AS (
         INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
         SELECT seq, ?, ?, ?, ? FROM head)
     SELECT r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM head AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)
     ORDER BY r.rank, r.due_at, r.seq",
);

/// Leases the head of a queue up to a key: no row of it crosses to this program and back.
pub(super) const LEASE: Statement = Statement::new(
    "INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
     SELECT seq, ?, ?, ?, ? FROM hereafter_ready
     WHERE queue = ? AND (rank, due_at, seq) <= (?, ?, ?)",
);

/// One range delete, exact inside the write transaction.
pub(super) const TAKE: Statement = Statement::new(
    "DELETE FROM hereafter_ready WHERE queue = ? AND (rank, due_at, seq) <= (?, ?, ?)",
);

/// Leases jobs whose rows were read and are locked.
pub(super) static LEASE_THESE: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
     SELECT seq, ?, ?, ?, ? FROM input WHERE seq IS NOT NULL",
);

#[cfg(feature = "mysql")]
pub(super) static TAKE_THESE: Bulk = Bulk::nowhere("rank int, due_at int, seq int").on_mysql(
    "DELETE hereafter_ready FROM input STRAIGHT_JOIN hereafter_ready
     WHERE hereafter_ready.queue = ? AND hereafter_ready.rank = input.rank
       AND hereafter_ready.due_at = input.due_at AND hereafter_ready.seq = input.seq",
);

// ── leases ──

pub(super) const BEGIN_JOB: Statement = Statement::new(
    "UPDATE hereafter_running SET begun = 1 WHERE seq = ? AND token = ? AND lease_end > ?",
);

pub(super) static EXTEND: Bulk = Bulk::new(
    "seq int, token int",
    "UPDATE hereafter_running SET lease_end = ? FROM input
     WHERE hereafter_running.seq = input.seq AND hereafter_running.token = input.token
       AND hereafter_running.lease_end > ?",
);

/// Which of these leases are current and have not ended.
pub(super) static SEEN_HELD: Bulk = Bulk::new(
    "seq int, token int",
    "SELECT r.seq, r.token
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq AND r.token = input.token)
     WHERE r.lease_end > ?",
);

/// The same for those that nobody else has locked, which are locked then.
pub(super) static HELD_FREE: Bulk = Bulk::new(
    "seq int, token int",
    "SELECT r.seq, r.token FROM input
     THEN JOIN FREE hereafter_running AS r ON (r.seq = input.seq AND r.token = input.token)
     WHERE r.lease_end > ?",
);

/// The fence: how many of these leases are current and have not ended; they are locked. It also tells whether any job has to do with
/// inputs or unique keys, has failed or has said something, which spares a verdict on one that has
/// not from asking.
pub(super) static COUNT_HELD: Bulk = Bulk::new(
    "seq int, token int",
    "SELECT count(*) AS held, EXISTS (SELECT 1 FROM hereafter_input)
         OR EXISTS (SELECT 1 FROM hereafter_blocked) AS edges,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys,
         EXISTS (SELECT 1 FROM hereafter_attempt) AS attempts,
         EXISTS (SELECT 1 FROM hereafter_report) AS reports
     FROM input
     THEN JOIN LOCKED hereafter_running AS r ON (r.seq = input.seq AND r.token = input.token)
     WHERE r.lease_end > ?",
);

/// The fence and the success in one: ends those of these leases that are current and have not ended,
/// and appends their outcomes. One that is extended at the same moment is left out. The leases that it
/// answers are a seq and a token of 8 bytes each.
pub(super) static RECORD: Bulk = Bulk::nowhere("seq int, token int, keep_until int, result bytes")
    .on_postgres(
        ", ended AS (
             DELETE FROM hereafter_running AS r USING (
                 SELECT own.place, input.keep_until, input.result
                 FROM input JOIN LATERAL (SELECT ctid AS place FROM hereafter_running AS own
                     WHERE own.seq = input.seq AND own.token = input.token AND own.lease_end > ?
                     OFFSET 0) AS own ON true) AS found
             WHERE r.ctid = found.place
             RETURNING r.seq, r.token, r.started_at, r.worker, found.keep_until, found.result),
         done AS (
             INSERT INTO hereafter_outcome
                 (seq, state, finished_at, keep_until, started_at, worker, result)
             SELECT seq, 'done', ?, keep_until, started_at, worker, result FROM ended)
         SELECT coalesce(string_agg(int8send(seq) || int8send(token), ''::bytea), ''::bytea)
                 AS leases,
             EXISTS (SELECT 1 FROM hereafter_input)
                 OR EXISTS (SELECT 1 FROM hereafter_blocked) AS edges,
             EXISTS (SELECT 1 FROM hereafter_unique) AS keys,
             EXISTS (SELECT 1 FROM hereafter_attempt) AS attempts,
             EXISTS (SELECT 1 FROM hereafter_report) AS reports
         FROM ended",
    );

/// Which of these jobs were cancelled, so that their workers can be told.
pub(super) static CANCELLED: Bulk = Bulk::new(
    "id id",
    "SELECT j.id FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     THEN JOIN hereafter_outcome AS o ON (o.seq = j.seq) WHERE o.state = 'cancelled'",
);

pub(super) static END_LEASE: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_running WHERE seq IN (SELECT seq FROM input)");

// ── settle ──

/// A success appends one row and touches no other.
pub(super) static DONE: Bulk = Bulk::new(
    "seq int, keep_until int, result bytes",
    "INSERT INTO hereafter_outcome
         (seq, state, finished_at, keep_until, started_at, worker, result)
     SELECT r.seq, 'done', ?, input.keep_until, r.started_at, r.worker, input.result
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)",
);

/// Ends jobs in another state, from whatever state they were in.
pub(super) static FINISH: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_outcome (seq, state, finished_at, keep_until, started_at, worker)
     SELECT j.seq, ?, ?, ?, coalesce(r.started_at, j.started_at), coalesce(r.worker, j.worker)
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)",
);

pub(super) static FAIL: Bulk = Bulk::new(
    "seq int, failure text",
    "UPDATE hereafter_job SET failures = failures + 1, failure = input.failure
     FROM input WHERE hereafter_job.seq = input.seq",
);

/// An attempt that ran to an end did not kill its worker, so the losses start again.
pub(super) static RETRY: Bulk = Bulk::new(
    "seq int, due_at int, failure text",
    "UPDATE hereafter_job SET failures = failures + 1, losses = 0, failure = input.failure,
         due_at = input.due_at, started_at = r.started_at, worker = r.worker
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     WHERE hereafter_job.seq = input.seq",
);

pub(super) static SCHEDULE: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT j.due_at, j.seq, j.queue, -j.priority
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)",
);

pub(super) static RELEASE: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_job SET started_at = r.started_at, worker = r.worker
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     WHERE hereafter_job.seq = input.seq",
);

/// Like a release, but due later.
pub(super) static SNOOZE: Bulk = Bulk::new(
    "seq int, due_at int",
    "UPDATE hereafter_job SET due_at = input.due_at, started_at = r.started_at, worker = r.worker
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     WHERE hereafter_job.seq = input.seq",
);

/// In the order of handing out: see `ENQUEUE_READY_SORTED`.
pub(super) static MAKE_READY: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT j.queue, -j.priority, j.due_at, j.seq
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     ORDER BY -j.priority, j.due_at, j.seq",
);

/// What that order is, where they are too many for one statement.
pub(super) static TURNS: Bulk = Bulk::new(
    "seq int",
    "SELECT -j.priority AS rank, j.due_at, j.seq
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)",
);

/// Lists jobs that wait again after a claim, or after an end: upkeep may have dropped their rows meanwhile.
pub(super) static EXPIRE_AGAIN: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_expiry (expires_at, seq)
     SELECT j.expires_at, j.seq FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     WHERE j.expires_at IS NOT NULL AND j.failures = 0 AND j.losses = 0
     ON CONFLICT (expires_at, seq) DO NOTHING",
);

pub(super) const FINISHED: Statement =
    Statement::new("INSERT INTO hereafter_finished (prune_at, jobs) VALUES (?, ?)");

pub(super) const NOTE_CANCELLED: Statement =
    Statement::new("INSERT INTO hereafter_cancelled (prune_at, jobs) VALUES (?, ?)");

// ── deleting ──

pub(super) static BURY: Bulk = Bulk::new(
    "id id",
    "INSERT INTO hereafter_tombstone (id, keep_until) SELECT id, ? FROM input
     WHERE id IS NOT NULL ON CONFLICT (id) DO UPDATE SET keep_until = excluded.keep_until",
);

pub(super) static DELETE_JOB: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_job WHERE seq IN (SELECT seq FROM input)");

pub(super) static DELETE_OUTCOME: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_outcome WHERE seq IN (SELECT seq FROM input)");

/// A waiting job's keys follow from its own row: `rank`, `due_at` and `queue` are kept equal.
pub(super) static UNREADY: Bulk = Bulk::new(
    "seq int",
    "DELETE FROM hereafter_ready WHERE (queue, rank, due_at, seq) IN
         (SELECT j.queue, -j.priority, j.due_at, j.seq
          FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq))",
)
.on_postgres(
    "DELETE FROM hereafter_ready WHERE ctid = ANY(ARRAY(
         SELECT t.ctid FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
         JOIN LATERAL (SELECT ctid FROM hereafter_ready AS t
             WHERE t.queue = j.queue AND t.rank = -j.priority
               AND t.due_at = j.due_at AND t.seq = j.seq FOR UPDATE) AS t ON true))",
)
.on_mysql(
    "DELETE t FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN JOIN hereafter_ready AS t ON (t.queue = j.queue AND t.rank = -j.priority
     AND t.due_at = j.due_at AND t.seq = j.seq)",
);

pub(super) static UNSCHEDULE: Bulk = Bulk::new(
    "seq int",
    "DELETE FROM hereafter_scheduled WHERE (due_at, seq) IN
         (SELECT j.due_at, j.seq FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq))",
)
.on_postgres(
    "DELETE FROM hereafter_scheduled WHERE ctid = ANY(ARRAY(
         SELECT t.ctid FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
         JOIN LATERAL (SELECT ctid FROM hereafter_scheduled AS t
             WHERE t.due_at = j.due_at AND t.seq = j.seq FOR UPDATE) AS t ON true))",
)
.on_mysql(
    "DELETE t FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN JOIN hereafter_scheduled AS t ON (t.due_at = j.due_at AND t.seq = j.seq)",
);

// ── operating ──

/// Where these jobs stand; ids without a job are left out.
pub(super) static STANDING: Bulk = Bulk::new(
    "id id",
    "SELECT j.id, j.seq, r.seq IS NOT NULL AS running, o.seq IS NOT NULL AS final
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)",
);

pub(super) static REPLAY: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_job SET failures = 0, losses = 0, recoveries = 0, failure = NULL,
         started_at = NULL, worker = NULL, expires_at = NULL, due_at = ?
     WHERE seq IN (SELECT seq FROM input)",
);

pub(super) const PAUSE: Statement = Statement::new(
    "INSERT INTO hereafter_paused (queue) VALUES (?) ON CONFLICT (queue) DO NOTHING",
);

pub(super) const RESUME: Statement = Statement::new("DELETE FROM hereafter_paused WHERE queue = ?");

pub(super) const PAUSED: Statement = Statement::new("SELECT queue FROM hereafter_paused");

/// All later numbers are greater.
pub(super) const MAX_SEQ: Statement = Statement::new(
    "SELECT coalesce(max(seq), 0) AS seq FROM hereafter_job",
)
.on_servers("SELECT coalesce((SELECT seq FROM hereafter_job ORDER BY seq DESC LIMIT 1), 0) AS seq");

// ── counting ──

/// One pass over the order of handing out.
pub(super) const COUNT_READY: Statement = Statement::new(
    "SELECT queue, count(*) AS jobs, min(due_at) AS oldest FROM hereafter_ready GROUP BY queue",
);

pub(super) const COUNT_READY_OF: Statement = Statement::new(
    "SELECT queue, count(*) AS jobs, min(due_at) AS oldest
     FROM hereafter_ready WHERE queue IN LIST (SELECT name FROM {names} AS asked) GROUP BY queue",
)
.on_mysql(
    "SELECT r.queue, count(*) AS jobs, min(r.due_at) AS oldest
     FROM (SELECT DISTINCT name FROM {names} AS given) AS asked
     THEN JOIN hereafter_ready AS r ON (r.queue = asked.name) GROUP BY r.queue",
);

/// A scheduled job that is due counts as ready, whether or not it was promoted yet.
pub(super) const COUNT_SCHEDULED: Statement = Statement::new(
    "SELECT queue, count(CASE WHEN due_at > ? THEN 1 END) AS later,
         count(CASE WHEN due_at <= ? THEN 1 END) AS due, min(due_at) AS oldest
     FROM hereafter_scheduled GROUP BY queue",
);

pub(super) const COUNT_BLOCKED: Statement = Statement::new(
    "SELECT queue, count(*) AS jobs
     FROM hereafter_blocked WHERE broken = 0 GROUP BY queue",
);

pub(super) const COUNT_RUNNING: Statement = Statement::new(
    "SELECT j.queue, count(*) AS jobs
     FROM hereafter_running AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq) GROUP BY j.queue",
);

pub(super) const COUNT_FAILED: Statement = Statement::new(
    "SELECT j.queue, count(*) AS jobs
     FROM hereafter_outcome AS o THEN JOIN hereafter_job AS j ON (j.seq = o.seq)
     WHERE o.state = 'failed' GROUP BY j.queue",
);

// ── results ──

/// Looks up ids given as a list of hexadecimal texts; `key` is the place in that list.
pub(super) const OUTCOMES: Statement = Statement::new(
    "SELECT asked.place, j.task, j.due_at, j.failure,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
         o.state, o.finished_at, o.result
     FROM {ids} AS asked THEN JOIN hereafter_job AS j ON (j.id = asked.id)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)",
);

pub(super) const FINISHED_AFTER: Statement = Statement::new(
    "SELECT position, jobs FROM hereafter_finished WHERE position > ? ORDER BY position LIMIT ?",
);

/// The latest position ever given, whether or not its row is still there.
pub(super) const FINISHED_LAST: Statement = Statement::new(
    "SELECT coalesce(max(seq), 0) AS position
     FROM sqlite_sequence WHERE name = 'hereafter_finished'",
)
.on_servers("SELECT coalesce(max(position), 0) AS position FROM hereafter_finished");

pub(super) const CANCELLED_AFTER: Statement = Statement::new(
    "SELECT position, jobs FROM hereafter_cancelled WHERE position > ? ORDER BY position LIMIT ?",
);

pub(super) const CANCELLED_LAST: Statement = Statement::new(
    "SELECT coalesce(max(seq), 0) AS position
     FROM sqlite_sequence WHERE name = 'hereafter_cancelled'",
)
.on_servers("SELECT coalesce(max(position), 0) AS position FROM hereafter_cancelled");
