//! Every statement, with its reason.
//!
//! Parameters are question marks in the order of the text. Table names are constants; user
//! text is only ever bound.

use super::bulk::Bulk;

pub(super) mod continued;
mod file;
pub(super) mod filters;
pub(super) mod history;
pub(super) mod inputs;
pub(super) mod reports;
pub(super) mod schedules;
pub(super) mod unique;
mod upkeep;

pub(super) use file::*;
pub(super) use upkeep::*;

/// Takes the write lock at once. A deferred transaction would take it at its first write, and
/// then fail if somebody wrote since its first read.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// Succeeds only outside of a transaction, and takes no lock.
pub(super) const PROBE: &str = "BEGIN DEFERRED; COMMIT";

/// Between transactions: whether the next commit waits for the disk. Without, the log is still
/// written in order, so a loss of power takes back only what was not synced at the end of it.
pub(super) const SYNC: &str = "PRAGMA synchronous = FULL";
pub(super) const NO_SYNC: &str = "PRAGMA synchronous = NORMAL";

/// Moves the log into the file and empties it, so that a closed store is one file.
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Changes when another connection has committed.
pub(super) const DATA_VERSION: &str = "PRAGMA data_version";

// ── enqueue ──

/// Stores what is not stored yet. The rows get rising numbers in the order of the batch; a row
/// that is left out may leave a gap.
/// `ON CONFLICT (id)` and not `OR IGNORE`, which would also swallow a broken constraint.
pub(super) static ENQUEUE: Bulk = Bulk::new(
    "WITH input (id, queue, task, priority, due_at, expires_at, envelope) AS",
    7,
    "INSERT INTO hereafter_job (id, queue, task, priority, created_at, due_at, expires_at, envelope)
     SELECT id, queue, task, priority, ?, due_at, expires_at, envelope FROM input
     WHERE id IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM hereafter_tombstone AS t
                       WHERE t.id = input.id AND t.keep_until > ?)
     ON CONFLICT (id) DO NOTHING",
);

pub(super) const ENQUEUE_READY: &str = "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, -priority, due_at, seq FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND due_at <= ?";

pub(super) const ENQUEUE_SCHEDULED: &str =
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT due_at, seq, queue, -priority FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND due_at > ?";

/// The same for a batch with inputs: what waits for them, or failed because of one, is neither.
pub(super) const ENQUEUE_READY_UNBLOCKED: &str =
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT j.queue, -j.priority, j.due_at, j.seq FROM hereafter_job AS j
     WHERE j.seq BETWEEN ? AND ? AND j.due_at <= ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_blocked AS b WHERE b.seq = j.seq)";

pub(super) const ENQUEUE_SCHEDULED_UNBLOCKED: &str =
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT j.due_at, j.seq, j.queue, -j.priority FROM hereafter_job AS j
     WHERE j.seq BETWEEN ? AND ? AND j.due_at > ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_blocked AS b WHERE b.seq = j.seq)";

/// A row that somebody left there must not keep the job from being stored.
pub(super) const ENQUEUE_EXPIRY: &str = "INSERT INTO hereafter_expiry (expires_at, seq)
     SELECT expires_at, seq FROM hereafter_job
     WHERE seq BETWEEN ? AND ? AND expires_at IS NOT NULL
     ON CONFLICT (expires_at, seq) DO NOTHING";

/// Which of a batch were stored, if not all.
pub(super) const ENQUEUED: &str = "SELECT id FROM hereafter_job WHERE seq BETWEEN ? AND ?";

// ── reserve ──

/// Whether a claim could find something, and when the next scheduled job is due. Reads only:
/// an idle worker writes nothing, and so does not wake itself.
pub(super) const LOOK: &str = "SELECT
     EXISTS (SELECT 1 FROM json_each(?) AS asked
             WHERE NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = asked.value)
               AND EXISTS (SELECT 1 FROM hereafter_ready AS r WHERE r.queue = asked.value)) AS ready,
     (SELECT due_at FROM hereafter_scheduled ORDER BY due_at LIMIT 1) AS due_at";

/// The order of due times, so that a bounded promotion takes the oldest.
pub(super) const PROMOTE: &str = "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT queue, rank, due_at, seq FROM hereafter_scheduled
     WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?";

/// The last of so many rows.
pub(super) const LAST_PROMOTED: &str = "SELECT due_at, seq FROM hereafter_scheduled
     ORDER BY due_at, seq LIMIT 1 OFFSET ?";

/// The same rows as one range. With the key as a subquery, SQLite would walk over all rows of
/// the last due time, which may be a million.
pub(super) const PROMOTED: &str = "DELETE FROM hereafter_scheduled WHERE (due_at, seq) <= (?, ?)";

/// The head of a queue. `CROSS JOIN` fixes the order of the tables, and so of the rows. It also
/// tells whether any job has a unique key, which spares a claim from asking.
pub(super) const HEAD: &str = "SELECT r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
         j.failures, j.losses, j.created_at,
         CASE WHEN j.failures = 0 AND j.losses = 0 THEN j.expires_at END AS expires_at,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys
     FROM hereafter_ready AS r CROSS JOIN hereafter_job AS j ON j.seq = r.seq
     WHERE r.queue = ? AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = ?)
     ORDER BY r.rank, r.due_at, r.seq LIMIT ?";

/// Leases the head of a queue up to a key: no row of it crosses to this program and back.
pub(super) const LEASE: &str =
    "INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
     SELECT seq, ?, ?, ?, ? FROM hereafter_ready
     WHERE queue = ? AND (rank, due_at, seq) <= (?, ?, ?)";

/// One range delete, exact inside the write transaction.
pub(super) const TAKE: &str =
    "DELETE FROM hereafter_ready WHERE queue = ? AND (rank, due_at, seq) <= (?, ?, ?)";

// ── leases ──

pub(super) const BEGIN_JOB: &str =
    "UPDATE hereafter_running SET begun = 1 WHERE seq = ? AND token = ? AND lease_end > ?";

pub(super) static EXTEND: Bulk = Bulk::new(
    "WITH input (seq, token) AS",
    2,
    "UPDATE hereafter_running SET lease_end = ? FROM input
     WHERE hereafter_running.seq = input.seq AND hereafter_running.token = input.token
       AND hereafter_running.lease_end > ?",
);

/// The fence: which of these leases are current and have not ended.
pub(super) static HELD: Bulk = Bulk::new(
    "WITH input (seq, token) AS",
    2,
    "SELECT r.seq, r.token FROM input CROSS JOIN hereafter_running AS r
     ON r.seq = input.seq AND r.token = input.token WHERE r.lease_end > ?",
);

/// The fence, for the usual case that all are. It also tells whether any job has to do with
/// inputs or unique keys, has failed or has said something, which spares a verdict on one that has
/// not from asking.
pub(super) static COUNT_HELD: Bulk = Bulk::new(
    "WITH input (seq, token) AS",
    2,
    "SELECT count(*) AS held, EXISTS (SELECT 1 FROM hereafter_input)
         OR EXISTS (SELECT 1 FROM hereafter_blocked) AS edges,
         EXISTS (SELECT 1 FROM hereafter_unique) AS keys,
         EXISTS (SELECT 1 FROM hereafter_attempt) AS attempts,
         EXISTS (SELECT 1 FROM hereafter_report) AS reports
     FROM input CROSS JOIN hereafter_running AS r
     ON r.seq = input.seq AND r.token = input.token WHERE r.lease_end > ?",
);

/// Which of these jobs were cancelled, so that their workers can be told.
pub(super) static CANCELLED: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "SELECT j.id FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id
     CROSS JOIN hereafter_outcome AS o ON o.seq = j.seq WHERE o.state = 'cancelled'",
);

pub(super) static END_LEASE: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_running WHERE seq IN (SELECT seq FROM input)",
);

// ── settle ──

/// A success appends one row and touches no other.
pub(super) static DONE: Bulk = Bulk::new(
    "WITH input (seq, keep_until, result) AS",
    3,
    "INSERT INTO hereafter_outcome
         (seq, state, finished_at, keep_until, started_at, worker, result)
     SELECT r.seq, 'done', ?, input.keep_until, r.started_at, r.worker, input.result
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq",
);

/// Ends jobs in another state, from whatever state they were in.
pub(super) static FINISH: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "INSERT INTO hereafter_outcome (seq, state, finished_at, keep_until, started_at, worker)
     SELECT j.seq, ?, ?, ?, coalesce(r.started_at, j.started_at), coalesce(r.worker, j.worker)
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq",
);

pub(super) static FAIL: Bulk = Bulk::new(
    "WITH input (seq, failure) AS",
    2,
    "UPDATE hereafter_job SET failures = failures + 1, failure = input.failure
     FROM input WHERE hereafter_job.seq = input.seq",
);

/// An attempt that ran to an end did not kill its worker, so the losses start again.
pub(super) static RETRY: Bulk = Bulk::new(
    "WITH input (seq, due_at, failure) AS",
    3,
    "UPDATE hereafter_job SET failures = failures + 1, losses = 0, failure = input.failure,
         due_at = input.due_at, started_at = r.started_at, worker = r.worker
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq
     WHERE hereafter_job.seq = input.seq",
);

pub(super) static SCHEDULE: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
     SELECT j.due_at, j.seq, j.queue, -j.priority
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq",
);

pub(super) static RELEASE: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_job SET started_at = r.started_at, worker = r.worker
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq
     WHERE hereafter_job.seq = input.seq",
);

/// Like a release, but due later.
pub(super) static SNOOZE: Bulk = Bulk::new(
    "WITH input (seq, due_at) AS",
    2,
    "UPDATE hereafter_job SET due_at = input.due_at, started_at = r.started_at, worker = r.worker
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq
     WHERE hereafter_job.seq = input.seq",
);

pub(super) static MAKE_READY: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "INSERT INTO hereafter_ready (queue, rank, due_at, seq)
     SELECT j.queue, -j.priority, j.due_at, j.seq
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq",
);

/// Lists jobs that wait again after a claim, or after an end: upkeep may have dropped their rows meanwhile.
pub(super) static EXPIRE_AGAIN: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "INSERT INTO hereafter_expiry (expires_at, seq)
     SELECT j.expires_at, j.seq FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     WHERE j.expires_at IS NOT NULL AND j.failures = 0 AND j.losses = 0
     ON CONFLICT (expires_at, seq) DO NOTHING",
);

pub(super) const FINISHED: &str = "INSERT INTO hereafter_finished (prune_at, jobs) VALUES (?, ?)";

pub(super) const NOTE_CANCELLED: &str =
    "INSERT INTO hereafter_cancelled (prune_at, jobs) VALUES (?, ?)";

// ── deleting ──

pub(super) static BURY: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "INSERT INTO hereafter_tombstone (id, keep_until) SELECT id, ? FROM input
     WHERE id IS NOT NULL ON CONFLICT (id) DO UPDATE SET keep_until = excluded.keep_until",
);

pub(super) static DELETE_JOB: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_job WHERE seq IN (SELECT seq FROM input)",
);

pub(super) static DELETE_OUTCOME: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_outcome WHERE seq IN (SELECT seq FROM input)",
);

/// A waiting job's keys follow from its own row: `rank`, `due_at` and `queue` are kept equal.
pub(super) static UNREADY: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_ready WHERE (queue, rank, due_at, seq) IN
         (SELECT j.queue, -j.priority, j.due_at, j.seq
          FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq)",
);

pub(super) static UNSCHEDULE: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_scheduled WHERE (due_at, seq) IN
         (SELECT j.due_at, j.seq FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq)",
);

// ── operating ──

/// Where these jobs stand; ids without a job are left out.
pub(super) static STANDING: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "SELECT j.id, j.seq, r.seq IS NOT NULL AS running, o.seq IS NOT NULL AS final
     FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq",
);

pub(super) static REPLAY: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_job SET failures = 0, losses = 0, recoveries = 0, failure = NULL,
         started_at = NULL, worker = NULL, expires_at = NULL, due_at = ?
     WHERE seq IN (SELECT seq FROM input)",
);

pub(super) const PAUSE: &str =
    "INSERT INTO hereafter_paused (queue) VALUES (?) ON CONFLICT (queue) DO NOTHING";

pub(super) const RESUME: &str = "DELETE FROM hereafter_paused WHERE queue = ?";

pub(super) const PAUSED: &str = "SELECT queue FROM hereafter_paused";

/// All later numbers are greater.
pub(super) const MAX_SEQ: &str = "SELECT ifnull(max(seq), 0) AS seq FROM hereafter_job";

// ── counting ──

/// One pass over the order of handing out.
pub(super) const COUNT_READY: &str =
    "SELECT queue, count(*) AS jobs, min(due_at) AS oldest FROM hereafter_ready GROUP BY queue";

pub(super) const COUNT_READY_OF: &str = "SELECT queue, count(*) AS jobs, min(due_at) AS oldest
     FROM hereafter_ready WHERE queue IN (SELECT value FROM json_each(?)) GROUP BY queue";

/// A scheduled job that is due counts as ready, whether or not it was promoted yet.
pub(super) const COUNT_SCHEDULED: &str =
    "SELECT queue, count(*) FILTER (WHERE due_at > ?) AS later,
         count(*) FILTER (WHERE due_at <= ?) AS due, min(due_at) AS oldest
     FROM hereafter_scheduled GROUP BY queue";

pub(super) const COUNT_BLOCKED: &str = "SELECT queue, count(*) AS jobs
     FROM hereafter_blocked WHERE broken = 0 GROUP BY queue";

pub(super) const COUNT_RUNNING: &str = "SELECT j.queue, count(*) AS jobs
     FROM hereafter_running AS r CROSS JOIN hereafter_job AS j ON j.seq = r.seq GROUP BY j.queue";

pub(super) const COUNT_FAILED: &str = "SELECT j.queue, count(*) AS jobs
     FROM hereafter_outcome AS o CROSS JOIN hereafter_job AS j ON j.seq = o.seq
     WHERE o.state = 'failed' GROUP BY j.queue";

// ── results ──

/// Looks up ids given as a list of hexadecimal texts; `key` is the place in that list.
pub(super) const OUTCOMES: &str = "SELECT asked.key, j.task, j.due_at, j.failure,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
         o.state, o.finished_at, o.result
     FROM json_each(?) AS asked CROSS JOIN hereafter_job AS j ON j.id = unhex(asked.value)
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq";

pub(super) const FINISHED_AFTER: &str =
    "SELECT position, jobs FROM hereafter_finished WHERE position > ? ORDER BY position LIMIT ?";

/// The latest position ever given, whether or not its row is still there.
pub(super) const FINISHED_LAST: &str = "SELECT ifnull(max(seq), 0) AS position
     FROM sqlite_sequence WHERE name = 'hereafter_finished'";

pub(super) const CANCELLED_AFTER: &str =
    "SELECT position, jobs FROM hereafter_cancelled WHERE position > ? ORDER BY position LIMIT ?";

pub(super) const CANCELLED_LAST: &str = "SELECT ifnull(max(seq), 0) AS position
     FROM sqlite_sequence WHERE name = 'hereafter_cancelled'";
