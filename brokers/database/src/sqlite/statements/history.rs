//! Statements about what happened: sums, events and attempts.

use crate::sqlite::bulk::Bulk;

// ── sums ──

/// The number of a task, which it gets with its first job.
pub(in crate::sqlite) const TASK_NUMBER: &str = "INSERT INTO hereafter_task (name) VALUES (?)
     ON CONFLICT (name) DO UPDATE SET stored = stored RETURNING number";

pub(in crate::sqlite) static ADD_UP: Bulk = Bulk::new(
    "WITH input (number, stored, done, failed, cancelled, expired, retried, lost, runs,
         run_ms, longest_run_ms, wait_ms, longest_wait_ms) AS",
    13,
    "UPDATE hereafter_task AS t SET stored = t.stored + input.stored,
         done = t.done + input.done, failed = t.failed + input.failed,
         cancelled = t.cancelled + input.cancelled, expired = t.expired + input.expired,
         retried = t.retried + input.retried, lost = t.lost + input.lost,
         runs = t.runs + input.runs, run_ms = t.run_ms + input.run_ms,
         longest_run_ms = max(t.longest_run_ms, input.longest_run_ms),
         wait_ms = t.wait_ms + input.wait_ms,
         longest_wait_ms = max(t.longest_wait_ms, input.longest_wait_ms)
     FROM input WHERE t.number = input.number",
);

/// How many of these jobs are of which task.
pub(in crate::sqlite) static TASKS_OF: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT j.task, count(*) AS jobs
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq GROUP BY j.task",
);

/// All of them, by name; telling them is what it is for.
pub(in crate::sqlite) const TASKS: &str = "SELECT * FROM hereafter_task ORDER BY name";

// ── events ──

pub(in crate::sqlite) const NOTE_EVENTS: &str = "INSERT INTO hereafter_event (last, at, events)
     VALUES ((SELECT ifnull(max(last), 0) FROM hereafter_event) + ?, ?, ?) RETURNING last";

pub(in crate::sqlite) const TRIM_EVENTS: &str = "DELETE FROM hereafter_event WHERE last <= ?";

pub(in crate::sqlite) const EVENTS_LAST: &str =
    "SELECT ifnull(max(last), 0) AS last FROM hereafter_event";

pub(in crate::sqlite) const EVENTS_AFTER: &str =
    "SELECT last, at, events FROM hereafter_event WHERE last > ? ORDER BY last LIMIT ?";

/// The tasks of those of these ids that are stored; `key` is the place in the list.
pub(in crate::sqlite) const TASKS_OF_IDS: &str = "SELECT asked.key, j.task
     FROM json_each(?) AS asked CROSS JOIN hereafter_job AS j ON j.id = unhex(asked.value)";

// ── attempts ──

/// These deliveries end now, or have ended with their lease. They are still leased, and their
/// attempts not yet counted.
pub(in crate::sqlite) static END_ATTEMPT: Bulk = Bulk::new(
    "WITH input (seq, ended_as, failure) AS",
    3,
    "INSERT INTO hereafter_attempt
         (seq, number, attempt, worker, started_at, ended_at, ended_as, failure)
     SELECT r.seq, ifnull((SELECT max(a.number) FROM hereafter_attempt AS a
                           WHERE a.seq = r.seq), 0) + 1,
         j.failures + 1, r.worker, r.started_at, min(?, r.lease_end), input.ended_as, input.failure
     FROM input CROSS JOIN hereafter_running AS r ON r.seq = input.seq
     CROSS JOIN hereafter_job AS j ON j.seq = r.seq RETURNING seq, number",
);

pub(in crate::sqlite) static DROP_ATTEMPT: Bulk = Bulk::new(
    "WITH input (seq, number) AS",
    2,
    "DELETE FROM hereafter_attempt WHERE (seq, number) IN (SELECT seq, number FROM input)",
);

pub(in crate::sqlite) static DELETE_ATTEMPTS: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_attempt WHERE seq IN (SELECT seq FROM input)",
);

/// A job, in a row for each of its attempts.
pub(in crate::sqlite) const TIMELINE: &str = "SELECT j.task, j.created_at, j.due_at, j.failures,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked, o.state, o.finished_at,
         coalesce(r.started_at, o.started_at) AS last_started_at,
         coalesce(r.worker, o.worker) AS last_worker,
         a.attempt, a.worker, a.started_at, a.ended_at, a.ended_as, a.failure
     FROM hereafter_job AS j
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = j.seq
     LEFT JOIN hereafter_blocked AS b ON b.seq = j.seq
     LEFT JOIN hereafter_attempt AS a ON a.seq = j.seq
     WHERE j.id = ? ORDER BY a.number";
