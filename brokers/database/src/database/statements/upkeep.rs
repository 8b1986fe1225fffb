//! Statements of upkeep.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

/// A job may have started once an attempt has failed or a lease was lost; one that was given
/// back has not. The times are compared because a row may outlive its job.
pub(in crate::database) const EXPIRY_DUE: Statement = Statement::new(
    "SELECT e.expires_at, e.seq, j.id,
         j.seq IS NOT NULL AND j.failures = 0 AND j.losses = 0 AND j.expires_at = e.expires_at
         AND r.seq IS NULL AND o.seq IS NULL AS waits
     FROM hereafter_expiry AS e THEN LEFT JOIN hereafter_job AS j ON (j.seq = e.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = e.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = e.seq)
     WHERE e.expires_at <= ? ORDER BY e.expires_at, e.seq LIMIT ?",
);

pub(in crate::database) const EXPIRY_SEEN: Statement =
    // The first condition is for MySQL, which finds no range by the second.
    Statement::new(
        "DELETE FROM hereafter_expiry WHERE expires_at <= ? AND (expires_at, seq) <= (?, ?)",
    );

/// Looks at every running job: as many as all workers run at once, and no index to keep
/// on each claim, extension and verdict.
pub(in crate::database) const LEASES_ENDED: Statement = Statement::new(
    "SELECT r.seq, r.begun, j.id, j.task, j.failures, j.recoveries
     FROM hereafter_running AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)
     WHERE r.lease_end <= ? LIMIT ?",
)
.on_postgres(
    "SELECT r.seq, r.begun, j.id, j.task, j.failures, j.recoveries
     FROM (SELECT * FROM hereafter_running WHERE lease_end <= ? LIMIT ? FOR UPDATE SKIP LOCKED) AS r
     THEN JOIN hereafter_job AS j ON (j.seq = r.seq)",
)
.on_mysql(
    "SELECT r.seq, r.begun, j.id, j.task, j.failures, j.recoveries
     FROM (SELECT t.seq, t.begun FROM hereafter_running AS t
           WHERE t.lease_end <= ? LIMIT ? FOR UPDATE SKIP LOCKED) AS r
     THEN JOIN hereafter_job AS j ON (j.seq = r.seq)",
);

/// How many there are, whoever has locked them; counted up to a limit.
pub(in crate::database) const COUNT_ENDED: Statement = Statement::nowhere().on_servers(
    "SELECT count(*) AS ended FROM
         (SELECT r.seq FROM hereafter_running AS r WHERE r.lease_end <= ? LIMIT ?) AS t",
);

/// A job whose begun delivery was lost goes behind its neighbours, so that one that kills
/// its workers does not hold them up by being the first again each time.
pub(in crate::database) static RECLAIM: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_job SET losses = losses + 1, recoveries = recoveries + r.begun,
         due_at = CASE WHEN r.begun = 1 THEN ? ELSE due_at END,
         started_at = r.started_at, worker = r.worker
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     WHERE hereafter_job.seq = input.seq",
);

pub(in crate::database) static LOSE: Bulk = Bulk::new(
    "seq int, failure text",
    "UPDATE hereafter_job SET losses = losses + 1, failure = input.failure
     FROM input WHERE hereafter_job.seq = input.seq",
);

pub(in crate::database) const PRUNE_DUE: Statement = Statement::new(
    "SELECT position, jobs FROM hereafter_finished
     WHERE prune_at <= ? ORDER BY prune_at LIMIT ?",
)
.on_servers(
    "SELECT number AS position, jobs FROM hereafter_finished
     WHERE prune_at <= ? ORDER BY prune_at LIMIT ?",
);

/// Those of these jobs whose own retention is over: a job may have been replayed since. One that
/// another may still read is passed over, and listed again when the last of these has ended.
pub(in crate::database) static PRUNABLE: Bulk = Bulk::new(
    "id id",
    "SELECT j.seq, j.id, o.finished_at FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     THEN JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     WHERE o.keep_until <= ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = j.seq)
       AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS c WHERE c.continued_by = j.seq)",
);

pub(in crate::database) static PRUNED: Bulk = Bulk::new(
    "position int",
    "DELETE FROM hereafter_finished WHERE position IN (SELECT position FROM input)",
)
.on_servers("DELETE FROM hereafter_finished WHERE number IN (SELECT position FROM input)");

/// What is left of a row that was larger than the budget.
pub(in crate::database) const PRUNED_PARTLY: Statement = Statement::new(
    "UPDATE hereafter_finished SET jobs = substr(jobs, 1 + 16 * ?) WHERE position = ?",
)
.on_postgres(
    "UPDATE hereafter_finished SET jobs = substr(jobs, (1 + 16 * ?)::integer) WHERE number = ?",
)
.on_mysql("UPDATE hereafter_finished SET jobs = substr(jobs, 1 + 16 * ?) WHERE number = ?");

pub(in crate::database) const TOMBSTONES_OVER: Statement = Statement::new(
    "DELETE FROM hereafter_tombstone WHERE id IN LIST
     (SELECT id FROM hereafter_tombstone WHERE keep_until <= ? ORDER BY keep_until LIMIT ?)",
);

pub(in crate::database) const CANCELLED_OVER: Statement = Statement::new(
    "DELETE FROM hereafter_cancelled WHERE position IN
     (SELECT position FROM hereafter_cancelled WHERE prune_at <= ? ORDER BY prune_at LIMIT ?)",
)
.on_servers(
    "DELETE FROM hereafter_cancelled WHERE number IN LIST
     (SELECT number FROM hereafter_cancelled WHERE prune_at <= ? ORDER BY prune_at LIMIT ?)",
);
