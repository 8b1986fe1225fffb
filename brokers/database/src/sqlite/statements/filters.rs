//! Fragments that a filter is put together from.

/// Where a filter looks for jobs, and by which key. Each narrow question has a way of its own,
/// so that a few failed jobs are found among a million done ones.
#[derive(Debug)]
pub(in crate::sqlite) struct Source {
    pub(in crate::sqlite) from: &'static str,
    pub(in crate::sqlite) and_up_to: &'static str,
    pub(in crate::sqlite) and_after: &'static str,
    pub(in crate::sqlite) newest_first: &'static str,
    pub(in crate::sqlite) oldest_first: &'static str,
}

pub(in crate::sqlite) static ALL: Source = Source {
    from: "FROM hereafter_job AS j
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq WHERE true",
    ..BY_JOB
};

pub(in crate::sqlite) static OF_IDS: Source = Source {
    from: "FROM (SELECT DISTINCT value FROM json_each(?)) AS asked
     CROSS JOIN hereafter_job AS j ON j.id = unhex(asked.value)
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq WHERE true",
    ..BY_JOB
};

pub(in crate::sqlite) static OF_FAILED: Source = Source {
    from: "FROM hereafter_outcome AS o CROSS JOIN hereafter_job AS j ON j.seq = o.seq
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq
     WHERE o.state = 'failed'",
    and_up_to: " AND o.seq <= ?",
    and_after: " AND o.seq > ?",
    newest_first: " ORDER BY o.seq DESC LIMIT ?",
    oldest_first: " ORDER BY o.seq LIMIT ?",
};

pub(in crate::sqlite) static OF_RUNNING: Source = Source {
    from: "FROM hereafter_running AS r CROSS JOIN hereafter_job AS j ON j.seq = r.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq WHERE true",
    and_up_to: " AND r.seq <= ?",
    and_after: " AND r.seq > ?",
    newest_first: " ORDER BY r.seq DESC LIMIT ?",
    oldest_first: " ORDER BY r.seq LIMIT ?",
};

pub(in crate::sqlite) static OF_BLOCKED: Source = Source {
    from: "FROM hereafter_blocked AS b CROSS JOIN hereafter_job AS j ON j.seq = b.seq
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq WHERE true",
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

pub(in crate::sqlite) const SELECT_RECORD: &str =
    "SELECT j.seq, j.id, j.queue, j.task, j.priority, j.created_at,
     j.due_at, j.failures, j.losses, j.recoveries, j.failure, j.envelope,
     coalesce(r.started_at, o.started_at, j.started_at) AS started_at,
     coalesce(r.worker, o.worker, j.worker) AS worker,
     r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
     CASE WHEN o.seq IS NULL THEN ifnull(b.open, 0) ELSE 0 END AS waits_for,
     o.state, o.finished_at, o.result ";

pub(in crate::sqlite) const SELECT_KEY: &str = "SELECT j.seq, j.id ";

pub(in crate::sqlite) const AND_TASK: &str = " AND j.task = ?";
pub(in crate::sqlite) const AND_QUEUE: &str = " AND j.queue = ?";
pub(in crate::sqlite) const AND_CREATED_FROM: &str = " AND j.created_at >= ?";
pub(in crate::sqlite) const AND_CREATED_BEFORE: &str = " AND j.created_at < ?";
pub(in crate::sqlite) const AND_NOT_RUNNING: &str = " AND r.seq IS NULL";
/// What failed because of an input is not replayed by itself. A text that is no failure, left
/// there by somebody, is no reason to fail the statement.
pub(in crate::sqlite) const AND_REPLAYABLE: &str = " AND b.seq IS NULL
     AND CASE WHEN json_valid(j.failure) THEN j.failure ->> '$.kind' END IS NOT 'input'";
pub(in crate::sqlite) const AND_ANY: &str = " AND (";
pub(in crate::sqlite) const OR: &str = " OR ";
pub(in crate::sqlite) const END_ANY: &str = ")";
pub(in crate::sqlite) const IS_FINAL: &str = "o.state = ?";
pub(in crate::sqlite) const IS_RUNNING: &str = "r.seq IS NOT NULL";
pub(in crate::sqlite) const IS_READY: &str =
    "(o.seq IS NULL AND r.seq IS NULL AND b.seq IS NULL AND j.due_at <= ?)";
pub(in crate::sqlite) const IS_SCHEDULED: &str =
    "(o.seq IS NULL AND r.seq IS NULL AND b.seq IS NULL AND j.due_at > ?)";
pub(in crate::sqlite) const IS_BLOCKED: &str = "(o.seq IS NULL AND b.seq IS NOT NULL)";
/// A state of a later contract, that no job of this schema can have.
pub(in crate::sqlite) const IS_NEVER: &str = "false";
