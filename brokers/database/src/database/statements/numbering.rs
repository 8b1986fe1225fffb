//! Statements about rows that are numbered when they are read, and about sums that are added up
//! later: only where transactions run beside each other.

#[cfg(feature = "mysql")]
use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

/// One numbers at a time, until its commit.
pub(in crate::database) const NUMBER_ALONE: Statement = Statement::nowhere()
    .on_postgres("SELECT pg_advisory_xact_lock({lock} + 1)")
    .on_mysql("SELECT number FROM hereafter_lock WHERE number = 1 FOR UPDATE");

/// One does the upkeep at a time; the others come again later.
pub(in crate::database) const UPKEEP_TURN: Statement = Statement::nowhere()
    .on_postgres("SELECT pg_try_advisory_xact_lock({lock} + 2) AS has_turn")
    .on_mysql(
        "SELECT count(*) AS has_turn FROM hereafter_lock WHERE number = 2 FOR UPDATE SKIP LOCKED",
    );

pub(in crate::database) const HAS_NEW_FINISHED: Statement = Statement::nowhere().on_servers(
    "SELECT EXISTS (SELECT 1 FROM hereafter_finished WHERE position IS NULL) AS has_new",
);

pub(in crate::database) const HAS_NEW_CANCELLED: Statement = Statement::nowhere().on_servers(
    "SELECT EXISTS (SELECT 1 FROM hereafter_cancelled WHERE position IS NULL) AS has_new",
);

pub(in crate::database) const HAS_NEW_EVENTS: Statement = Statement::nowhere()
    .on_servers("SELECT EXISTS (SELECT 1 FROM hereafter_event WHERE last IS NULL) AS has_new");

pub(in crate::database) const NUMBER_FINISHED: Statement = Statement::nowhere().on_postgres(
    "UPDATE hereafter_finished AS t SET position = new.position
     FROM (SELECT ctid AS place,
               greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_finished))
               + row_number() OVER (ORDER BY number) AS position
           FROM hereafter_finished WHERE position IS NULL ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
)
.on_mysql(
    "UPDATE (SELECT number, greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_finished))
                 + row_number() OVER (ORDER BY number) AS position
             FROM (SELECT number FROM hereafter_finished FORCE INDEX (by_position)
                   WHERE position IS NULL ORDER BY number LIMIT 1000) AS next) AS new
     STRAIGHT_JOIN hereafter_finished AS t SET t.position = new.position
     WHERE t.number = new.number",
);

pub(in crate::database) const NUMBER_CANCELLED: Statement = Statement::nowhere().on_postgres(
    "UPDATE hereafter_cancelled AS t SET position = new.position
     FROM (SELECT ctid AS place,
               greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_cancelled))
               + row_number() OVER (ORDER BY number) AS position
           FROM hereafter_cancelled WHERE position IS NULL ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
)
.on_mysql(
    "UPDATE (SELECT number, greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_cancelled))
                 + row_number() OVER (ORDER BY number) AS position
             FROM (SELECT number FROM hereafter_cancelled FORCE INDEX (by_position)
                   WHERE position IS NULL ORDER BY number LIMIT 1000) AS next) AS new
     STRAIGHT_JOIN hereafter_cancelled AS t SET t.position = new.position
     WHERE t.number = new.number",
);

/// Their times rise with their numbers, whichever transaction had begun first. The parameter is there
/// for the sake of the others.
pub(in crate::database) const NUMBER_EVENTS: Statement = Statement::nowhere()
    .on_postgres(
        "UPDATE hereafter_event AS t SET last = new.last, at = new.at
     FROM (SELECT ctid AS place, (SELECT coalesce(max(last), 0) FROM hereafter_event)
               + sum(count) OVER (ORDER BY number) AS last,
               greatest(max(at) OVER (ORDER BY number), (SELECT at FROM hereafter_event
                   WHERE last IS NOT NULL ORDER BY last DESC LIMIT 1)) AS at
           FROM hereafter_event WHERE last IS NULL AND ?::bigint IS NOT NULL
           ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
    )
    .on_mysql(
        "UPDATE (SELECT number, (SELECT coalesce(max(last), 0) FROM hereafter_event)
                 + sum(count) OVER (ORDER BY number) AS last,
                 greatest(max(at) OVER (ORDER BY number), coalesce((SELECT at FROM hereafter_event
                     WHERE last IS NOT NULL ORDER BY last DESC LIMIT 1), 0)) AS at
             FROM (SELECT number, count, at FROM hereafter_event FORCE INDEX (by_last)
                   WHERE last IS NULL AND ? IS NOT NULL ORDER BY number LIMIT 1000) AS next) AS new
     STRAIGHT_JOIN hereafter_event AS t SET t.last = new.last, t.at = new.at
     WHERE t.number = new.number",
    );

pub(in crate::database) const ADD_SUMS: Statement = Statement::nowhere().on_postgres(
    "WITH gone AS (DELETE FROM hereafter_sum WHERE number = ANY(ARRAY(
         SELECT number FROM hereafter_sum ORDER BY number LIMIT 10000)) RETURNING *)
     INSERT INTO hereafter_task AS t (name, stored, done, failed, cancelled, expired, retried, lost,
         runs, run_ms, longest_run_ms, wait_ms, longest_wait_ms)
     SELECT task, sum(stored), sum(done), sum(failed), sum(cancelled), sum(expired), sum(retried),
         sum(lost), sum(runs), sum(run_ms), max(longest_run_ms), sum(wait_ms), max(longest_wait_ms)
     FROM gone GROUP BY task ORDER BY task
     ON CONFLICT (name) DO UPDATE SET stored = t.stored + excluded.stored,
         done = t.done + excluded.done, failed = t.failed + excluded.failed,
         cancelled = t.cancelled + excluded.cancelled, expired = t.expired + excluded.expired,
         retried = t.retried + excluded.retried, lost = t.lost + excluded.lost,
         runs = t.runs + excluded.runs, run_ms = t.run_ms + excluded.run_ms,
         longest_run_ms = greatest(t.longest_run_ms, excluded.longest_run_ms),
         wait_ms = t.wait_ms + excluded.wait_ms,
         longest_wait_ms = greatest(t.longest_wait_ms, excluded.longest_wait_ms)",
);

/// Sums that are committed. Who adds them up is the only one.
#[cfg(feature = "mysql")]
pub(in crate::database) const NEW_SUMS: Statement = Statement::nowhere().on_mysql(
    "SELECT number FROM hereafter_sum ORDER BY number LIMIT 10000 FOR UPDATE SKIP LOCKED",
);

#[cfg(feature = "mysql")]
pub(in crate::database) static ADD_THESE: Bulk = Bulk::nowhere("number int").on_mysql(
    "INSERT INTO hereafter_task (name, stored, done, failed, cancelled, expired, retried, lost,
         runs, run_ms, longest_run_ms, wait_ms, longest_wait_ms)
     SELECT s.task, sum(s.stored), sum(s.done), sum(s.failed), sum(s.cancelled), sum(s.expired),
         sum(s.retried), sum(s.lost), sum(s.runs), sum(s.run_ms), max(s.longest_run_ms),
         sum(s.wait_ms), max(s.longest_wait_ms)
     FROM input THEN JOIN hereafter_sum AS s ON (s.number = input.number)
     GROUP BY s.task ORDER BY s.task
     ON CONFLICT (name) DO UPDATE SET stored = hereafter_task.stored + excluded.stored,
         done = hereafter_task.done + excluded.done,
         failed = hereafter_task.failed + excluded.failed,
         cancelled = hereafter_task.cancelled + excluded.cancelled,
         expired = hereafter_task.expired + excluded.expired,
         retried = hereafter_task.retried + excluded.retried,
         lost = hereafter_task.lost + excluded.lost, runs = hereafter_task.runs + excluded.runs,
         run_ms = hereafter_task.run_ms + excluded.run_ms,
         longest_run_ms = greatest(hereafter_task.longest_run_ms, excluded.longest_run_ms),
         wait_ms = hereafter_task.wait_ms + excluded.wait_ms,
         longest_wait_ms = greatest(hereafter_task.longest_wait_ms, excluded.longest_wait_ms)",
);

#[cfg(feature = "mysql")]
pub(in crate::database) static DROP_SUMS: Bulk = Bulk::nowhere("number int")
    .on_mysql("DELETE FROM hereafter_sum WHERE number IN (SELECT number FROM input)");

/// Numbers of ranges are remembered by the table's counter; its rows are of no use.
#[cfg(feature = "mysql")]
pub(in crate::database) const DROP_BATCHES: Statement = Statement::nowhere().on_mysql(
    "DELETE FROM hereafter_batch WHERE number IN LIST
         (SELECT number FROM hereafter_batch ORDER BY number LIMIT 10000 FOR UPDATE SKIP LOCKED)",
);
