//! Fragments that a filter is put together from.

/// Where a filter looks for jobs, and by which key. Each narrow question has a way of its own,
/// so that a few failed jobs are found among a million done ones.
#[derive(Debug)]
pub(in crate::database) struct Source {
    pub(in crate::database) from: &'static str,
    pub(in crate::database) and_up_to: &'static str,
    pub(in crate::database) and_after: &'static str,
    pub(in crate::database) newest_first: &'static str,
    pub(in crate::database) oldest_first: &'static str,
}

pub(in crate::database) static ALL: Source = Source {
    from: "FROM hereafter_job AS j
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq) WHERE true",
    ..BY_JOB
};

pub(in crate::database) static OF_IDS: Source = Source {
    from: "FROM (SELECT DISTINCT id FROM {ids} AS listed) AS asked
     THEN JOIN hereafter_job AS j ON (j.id = asked.id)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq) WHERE true",
    ..BY_JOB
};

pub(in crate::database) static OF_FAILED: Source = Source {
    from: "FROM hereafter_outcome AS o THEN JOIN hereafter_job AS j ON (j.seq = o.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)
     WHERE o.state = 'failed'",
    and_up_to: " AND o.seq <= ?",
    and_after: " AND o.seq > ?",
    newest_first: " ORDER BY o.seq DESC LIMIT ?",
    oldest_first: " ORDER BY o.seq LIMIT ?",
};

pub(in crate::database) static OF_RUNNING: Source = Source {
    from: "FROM hereafter_running AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq) WHERE true",
    and_up_to: " AND r.seq <= ?",
    and_after: " AND r.seq > ?",
    newest_first: " ORDER BY r.seq DESC LIMIT ?",
    oldest_first: " ORDER BY r.seq LIMIT ?",
};

pub(in crate::database) static OF_BLOCKED: Source = Source {
    from: "FROM hereafter_blocked AS b THEN JOIN hereafter_job AS j ON (j.seq = b.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq) WHERE true",
    and_up_to: " AND b.seq <= ?",
    and_after: " AND b.seq > ?",
    newest_first: " ORDER BY b.seq DESC LIMIT ?",
    oldest_first: " ORDER BY b.seq LIMIT ?",
};

const BY_JOB: Source = Source {
    from: "",
    and_up_to: " AND j.seq <= ?",
    and_after: " AND j.seq > ?",
    newest_first: " ORDER BY j.seq DESC LIMIT ?",
    oldest_first: " ORDER BY j.seq LIMIT ?",
};

pub(in crate::database) const SELECT_RECORD: &str =
    "SELECT j.seq, j.id, j.queue, j.task, j.priority, j.created_at,
     j.due_at, j.failures, j.losses, j.recoveries, j.failure, j.envelope,
     coalesce(r.started_at, o.started_at, j.started_at) AS started_at,
     coalesce(r.worker, o.worker, j.worker) AS worker,
     r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
     CASE WHEN o.seq IS NULL THEN coalesce(b.open, 0) ELSE 0 END AS waits_for,
     (SELECT u.key FROM hereafter_unique AS u WHERE u.seq = j.seq) AS unique_key,
     o.state, o.finished_at, o.result ";

pub(in crate::database) const SELECT_KEY: &str = "SELECT j.seq, j.id ";

pub(in crate::database) const AND_TASK: &str = " AND j.task = ?";
pub(in crate::database) const AND_QUEUE: &str = " AND j.queue = ?";
pub(in crate::database) const AND_CREATED_FROM: &str = " AND j.created_at >= ?";
pub(in crate::database) const AND_CREATED_BEFORE: &str = " AND j.created_at < ?";
pub(in crate::database) const AND_NOT_RUNNING: &str = " AND r.seq IS NULL";
/// What failed because of an input is not replayed by itself, nor is a job whose unique key
/// another one holds; of those that are held for a time, `WANTED` knows more. A text that is no failure, left
/// there by somebody, is no reason to fail the statement.
pub(in crate::database) const AND_REPLAYABLE: &str = " AND b.seq IS NULL
     AND coalesce(j.failure, '') NOT LIKE '%\"kind\":\"input\"%'
     AND NOT EXISTS (SELECT 1 FROM hereafter_unique AS u
     THEN JOIN hereafter_unique AS h ON (h.task = u.task AND h.key = u.key AND h.held = 1)
                     WHERE u.seq = j.seq AND u.scope = 'unfinished' AND h.scope <> 'time')";
pub(in crate::database) const AND_ANY: &str = " AND (";
pub(in crate::database) const OR: &str = " OR ";
pub(in crate::database) const END_ANY: &str = ")";
pub(in crate::database) const IS_FINAL: &str = "o.state = ?";
pub(in crate::database) const IS_RUNNING: &str = "r.seq IS NOT NULL";
pub(in crate::database) const IS_READY: &str =
    "(o.seq IS NULL AND r.seq IS NULL AND b.seq IS NULL AND j.due_at <= ?)";
pub(in crate::database) const IS_SCHEDULED: &str =
    "(o.seq IS NULL AND r.seq IS NULL AND b.seq IS NULL AND j.due_at > ?)";
pub(in crate::database) const IS_BLOCKED: &str = "(o.seq IS NULL AND b.seq IS NOT NULL)";
/// A state of a later contract, that no job of this schema can have.
pub(in crate::database) const IS_NEVER: &str = "false";
