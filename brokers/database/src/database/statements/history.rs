//! Statements about what happened: sums, events and attempts.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

// ── sums ──

/// The number of a task, which it gets with its first job.
pub(in crate::database) const TASK_NUMBER: Statement = Statement::new(
    "INSERT INTO hereafter_task (name) VALUES (?)
     ON CONFLICT (name) DO UPDATE SET stored = hereafter_task.stored RETURNING number",
)
.on_mysql(
    "INSERT INTO hereafter_task (name) VALUES (?)
     ON DUPLICATE KEY UPDATE number = LAST_INSERT_ID(hereafter_task.number)",
);

pub(in crate::database) static ADD_UP: Bulk = Bulk::new(
    "number int, stored int, done int, failed int, cancelled int, expired int, retried int,
     lost int, runs int, run_ms int, longest_run_ms int, wait_ms int, longest_wait_ms int",
    "UPDATE hereafter_task AS t SET stored = t.stored + input.stored,
         done = t.done + input.done, failed = t.failed + input.failed,
         cancelled = t.cancelled + input.cancelled, expired = t.expired + input.expired,
         retried = t.retried + input.retried, lost = t.lost + input.lost,
         runs = t.runs + input.runs, run_ms = t.run_ms + input.run_ms,
         longest_run_ms = greatest(t.longest_run_ms, input.longest_run_ms),
         wait_ms = t.wait_ms + input.wait_ms,
         longest_wait_ms = greatest(t.longest_wait_ms, input.longest_wait_ms)
     FROM input WHERE t.number = input.number",
)
.on_servers(
    "INSERT INTO hereafter_sum (task, stored, done, failed, cancelled, expired, retried, lost,
         runs, run_ms, longest_run_ms, wait_ms, longest_wait_ms)
     SELECT t.name, input.stored, input.done, input.failed, input.cancelled, input.expired,
         input.retried, input.lost, input.runs, input.run_ms, input.longest_run_ms, input.wait_ms,
         input.longest_wait_ms
     FROM input THEN JOIN hereafter_task AS t ON (t.number = input.number)",
);

/// Only where sums are added up later.
pub(in crate::database) static ADD_STORED: Bulk = Bulk::nowhere("task text, stored int")
    .on_servers("INSERT INTO hereafter_sum (task, stored) SELECT task, stored FROM input");

/// How many of these jobs are of which task.
pub(in crate::database) static TASKS_OF: Bulk = Bulk::new(
    "seq int",
    "SELECT j.task, count(*) AS jobs
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq) GROUP BY j.task",
);

/// All of them, by name; telling them is what it is for.
pub(in crate::database) const TASKS: Statement =
    Statement::new("SELECT * FROM hereafter_task ORDER BY name")
        .on_postgres(
            "SELECT name, sum(stored)::bigint AS stored, sum(done)::bigint AS done,
         sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled,
         sum(expired)::bigint AS expired, sum(retried)::bigint AS retried,
         sum(lost)::bigint AS lost, sum(runs)::bigint AS runs, sum(run_ms)::bigint AS run_ms,
         max(longest_run_ms) AS longest_run_ms, sum(wait_ms)::bigint AS wait_ms,
         max(longest_wait_ms) AS longest_wait_ms
     FROM (SELECT name, stored, done, failed, cancelled, expired, retried, lost, runs, run_ms,
               longest_run_ms, wait_ms, longest_wait_ms FROM hereafter_task
           UNION ALL
           SELECT task, stored, done, failed, cancelled, expired, retried, lost, runs, run_ms,
               longest_run_ms, wait_ms, longest_wait_ms FROM hereafter_sum) AS t
     GROUP BY name ORDER BY name",
        )
        .on_mysql(
            "SELECT name, CAST(sum(stored) AS SIGNED) AS stored, CAST(sum(done) AS SIGNED) AS done,
         CAST(sum(failed) AS SIGNED) AS failed, CAST(sum(cancelled) AS SIGNED) AS cancelled,
         CAST(sum(expired) AS SIGNED) AS expired, CAST(sum(retried) AS SIGNED) AS retried,
         CAST(sum(lost) AS SIGNED) AS lost, CAST(sum(runs) AS SIGNED) AS runs,
         CAST(sum(run_ms) AS SIGNED) AS run_ms, max(longest_run_ms) AS longest_run_ms,
         CAST(sum(wait_ms) AS SIGNED) AS wait_ms, max(longest_wait_ms) AS longest_wait_ms
     FROM (SELECT name, stored, done, failed, cancelled, expired, retried, lost, runs, run_ms,
               longest_run_ms, wait_ms, longest_wait_ms FROM hereafter_task
           UNION ALL
           SELECT task, stored, done, failed, cancelled, expired, retried, lost, runs, run_ms,
               longest_run_ms, wait_ms, longest_wait_ms FROM hereafter_sum) AS t
     GROUP BY name ORDER BY name",
        );

// ── events ──

pub(in crate::database) const NOTE_EVENTS: Statement = Statement::new(
    "INSERT INTO hereafter_event (last, at, events)
     VALUES ((SELECT coalesce(max(last), 0) FROM hereafter_event) + ?, ?, ?) RETURNING last",
)
.on_servers("INSERT INTO hereafter_event (count, at, events) VALUES (?, ?, ?)");

pub(in crate::database) const TRIM_EVENTS: Statement =
    Statement::new("DELETE FROM hereafter_event WHERE last <= ?");

pub(in crate::database) const EVENTS_LAST: Statement =
    Statement::new("SELECT coalesce(max(last), 0) AS last FROM hereafter_event");

pub(in crate::database) const EVENTS_AFTER: Statement = Statement::new(
    "SELECT last, at, events FROM hereafter_event WHERE last > ? ORDER BY last LIMIT ?",
);

/// The tasks of those of these ids that are stored; `key` is the place in the list.
pub(in crate::database) const TASKS_OF_IDS: Statement = Statement::new(
    "SELECT asked.place, j.task
     FROM {ids} AS asked THEN JOIN hereafter_job AS j ON (j.id = asked.id)",
);

// ── attempts ──

/// These deliveries end now, or have ended with their lease. They are still leased, and their
/// attempts not yet counted.
pub(in crate::database) static END_ATTEMPT: Bulk = Bulk::new(
    "seq int, ended_as text, failure text",
    "INSERT INTO hereafter_attempt
         (seq, number, attempt, worker, started_at, ended_at, ended_as, failure)
     SELECT r.seq, coalesce((SELECT max(a.number) FROM hereafter_attempt AS a
                           WHERE a.seq = r.seq), 0) + 1,
         j.failures + 1, r.worker, r.started_at, least(?, r.lease_end), input.ended_as,
     input.failure
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = r.seq)",
);

/// The numbers of the latest deliveries that have ended.
pub(in crate::database) static LAST_ATTEMPT: Bulk = Bulk::new(
    "seq int",
    "SELECT input.seq, (SELECT max(a.number) FROM hereafter_attempt AS a
                        WHERE a.seq = input.seq) AS number
     FROM input WHERE input.seq IS NOT NULL",
);

pub(in crate::database) static DROP_ATTEMPT: Bulk = Bulk::new(
    "seq int, number int",
    "DELETE FROM hereafter_attempt WHERE (seq, number) IN (SELECT seq, number FROM input)",
)
.on_postgres(
    "DELETE FROM hereafter_attempt WHERE ctid = ANY(ARRAY(
         SELECT a.place FROM input JOIN LATERAL (SELECT ctid AS place FROM hereafter_attempt AS a
             WHERE a.seq = input.seq AND a.number = input.number OFFSET 0) AS a ON true))",
)
.on_mysql(
    "DELETE a FROM input
     THEN JOIN hereafter_attempt AS a ON (a.seq = input.seq AND a.number = input.number)",
);

pub(in crate::database) static DELETE_ATTEMPTS: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_attempt WHERE seq IN (SELECT seq FROM input)");

/// A job, in a row for each of its attempts.
pub(in crate::database) const TIMELINE: Statement = Statement::new(
    "SELECT j.task, j.created_at, j.due_at, j.failures,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked, o.state, o.finished_at,
         coalesce(r.started_at, o.started_at) AS last_started_at,
         coalesce(r.worker, o.worker) AS last_worker,
         a.attempt, a.worker, a.started_at, a.ended_at, a.ended_as, a.failure
     FROM hereafter_job AS j
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)
     THEN LEFT JOIN hereafter_attempt AS a ON (a.seq = j.seq)
     WHERE j.id = ? ORDER BY a.number",
);
