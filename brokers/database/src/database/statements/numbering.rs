//! Statements about rows that are numbered when they are read, and about sums that are added up
//! later: only where transactions run beside each other.

use crate::database::dialect::Statement;

/// One numbers at a time, until its commit.
pub(in crate::database) const NUMBER_ALONE: Statement =
    Statement::new("").on_postgres("SELECT pg_advisory_xact_lock({lock} + 1)");

/// One does the upkeep at a time; the others come again later.
pub(in crate::database) const UPKEEP_TURN: Statement =
    Statement::new("").on_postgres("SELECT pg_try_advisory_xact_lock({lock} + 2) AS has_turn");

pub(in crate::database) const HAS_NEW_FINISHED: Statement = Statement::new("").on_postgres(
    "SELECT EXISTS (SELECT 1 FROM hereafter_finished WHERE position IS NULL) AS has_new",
);

pub(in crate::database) const HAS_NEW_CANCELLED: Statement = Statement::new("").on_postgres(
    "SELECT EXISTS (SELECT 1 FROM hereafter_cancelled WHERE position IS NULL) AS has_new",
);

pub(in crate::database) const HAS_NEW_EVENTS: Statement = Statement::new("")
    .on_postgres("SELECT EXISTS (SELECT 1 FROM hereafter_event WHERE last IS NULL) AS has_new");

pub(in crate::database) const NUMBER_FINISHED: Statement = Statement::new("").on_postgres(
    "UPDATE hereafter_finished AS t SET position = new.position
     FROM (SELECT ctid AS place,
               greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_finished))
               + row_number() OVER (ORDER BY number) AS position
           FROM hereafter_finished WHERE position IS NULL ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
);

pub(in crate::database) const NUMBER_CANCELLED: Statement = Statement::new("").on_postgres(
    "UPDATE hereafter_cancelled AS t SET position = new.position
     FROM (SELECT ctid AS place,
               greatest(?, (SELECT coalesce(max(position), 0) FROM hereafter_cancelled))
               + row_number() OVER (ORDER BY number) AS position
           FROM hereafter_cancelled WHERE position IS NULL ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
);

/// Their times rise with their numbers, whichever transaction had begun first. The parameter is there
/// for the sake of the others.
pub(in crate::database) const NUMBER_EVENTS: Statement = Statement::new("").on_postgres(
    "UPDATE hereafter_event AS t SET last = new.last, at = new.at
     FROM (SELECT ctid AS place, (SELECT coalesce(max(last), 0) FROM hereafter_event)
               + sum(count) OVER (ORDER BY number) AS last,
               greatest(max(at) OVER (ORDER BY number), (SELECT at FROM hereafter_event
                   WHERE last IS NOT NULL ORDER BY last DESC LIMIT 1)) AS at
           FROM hereafter_event WHERE last IS NULL AND ?::bigint IS NOT NULL
           ORDER BY number LIMIT 1000) AS new
     WHERE t.ctid = new.place",
);

pub(in crate::database) const TRIM_EVENTS: Statement = Statement::new("").on_postgres(
    "DELETE FROM hereafter_event WHERE last <= (SELECT max(last) FROM hereafter_event) - ?",
);

pub(in crate::database) const ADD_SUMS: Statement = Statement::new("").on_postgres(
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
