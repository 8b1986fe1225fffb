//! Statements of upkeep.

use crate::sqlite::bulk::Bulk;

/// A job may have started once an attempt has failed or a lease was lost; one that was given
/// back has not. The times are compared because a row may outlive its job.
pub(in crate::sqlite) const EXPIRY_DUE: &str = "SELECT e.expires_at, e.seq, j.id,
         j.seq IS NOT NULL AND j.failures = 0 AND j.losses = 0 AND j.expires_at = e.expires_at
         AND r.seq IS NULL AND o.seq IS NULL AS waits
     FROM hereafter_expiry AS e LEFT JOIN hereafter_job AS j ON j.seq = e.seq
     LEFT JOIN hereafter_running AS r ON r.seq = e.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = e.seq
     WHERE e.expires_at <= ? ORDER BY e.expires_at, e.seq LIMIT ?";

pub(in crate::sqlite) const EXPIRY_SEEN: &str =
    "DELETE FROM hereafter_expiry WHERE (expires_at, seq) <= (?, ?)";

/// Looks at every running job: as many as all workers run at once, and no index to keep
/// on each claim, extension and verdict.
pub(in crate::sqlite) const LEASES_ENDED: &str =
    "SELECT r.seq, r.begun, j.id, j.task, j.failures, j.recoveries
     FROM hereafter_running AS r CROSS JOIN hereafter_job AS j ON j.seq = r.seq
     WHERE r.lease_end <= ? LIMIT ?";

/// A job whose begun delivery was lost goes behind its neighbours, so that one that kills
/// its workers does not hold them up by being the first again each time.
pub(in crate::sqlite) static RECLAIM: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_job SET losses = losses + 1, recoveries = recoveries + r.begun,
         due_at = CASE WHEN r.begun THEN ? ELSE due_at END,
         started_at = r.started_at, worker = r.worker
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq
     WHERE hereafter_job.seq = input.seq",
);

pub(in crate::sqlite) static LOSE: Bulk = Bulk::new(
    "WITH input (seq, failure) AS",
    2,
    "UPDATE hereafter_job SET losses = losses + 1, failure = input.failure
     FROM input WHERE hereafter_job.seq = input.seq",
);

pub(in crate::sqlite) const PRUNE_DUE: &str = "SELECT position, jobs FROM hereafter_finished
     WHERE prune_at <= ? ORDER BY prune_at LIMIT ?";

/// Those of these jobs whose own retention is over: a job may have been replayed since. One that
/// another may still read is passed over, and listed again when the last of these has ended.
pub(in crate::sqlite) static PRUNABLE: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "SELECT j.seq, j.id, o.finished_at FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id
     CROSS JOIN hereafter_outcome AS o ON o.seq = j.seq
     WHERE o.keep_until <= ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = j.seq)
       AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS c WHERE c.continued_by = j.seq)",
);

pub(in crate::sqlite) static PRUNED: Bulk = Bulk::new(
    "WITH input (position) AS",
    1,
    "DELETE FROM hereafter_finished WHERE position IN (SELECT position FROM input)",
);

/// What is left of a row that was larger than the budget.
pub(in crate::sqlite) const PRUNED_PARTLY: &str =
    "UPDATE hereafter_finished SET jobs = substr(jobs, 1 + 16 * ?) WHERE position = ?";

pub(in crate::sqlite) const TOMBSTONES_OVER: &str = "DELETE FROM hereafter_tombstone WHERE id IN
     (SELECT id FROM hereafter_tombstone WHERE keep_until <= ? ORDER BY keep_until LIMIT ?)";

pub(in crate::sqlite) const CANCELLED_OVER: &str =
    "DELETE FROM hereafter_cancelled WHERE position IN
     (SELECT position FROM hereafter_cancelled WHERE prune_at <= ? ORDER BY prune_at LIMIT ?)";
