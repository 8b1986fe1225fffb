//! Statements about jobs that wait for others. None of them runs where no job does.
//!
//! `dependant` is a job that waits, `input` one that it waits for. Statements over closures
//! recurse in SQLite, which keeps a queue and no stack: a chain may have any length.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

/// Whether any job has inputs that still matter.
pub(in crate::database) const HAS_EDGES: Statement = Statement::new(
    "SELECT EXISTS (SELECT 1 FROM hereafter_input)
     OR EXISTS (SELECT 1 FROM hereafter_blocked) AS edges",
);

// ── enqueue ──

/// The numbers that jobs of this batch got; duplicates are left out.
pub(in crate::database) static STORED: Bulk = Bulk::new(
    "id id",
    "SELECT j.seq, j.id FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     WHERE j.seq BETWEEN ? AND ?",
);

/// Only what was stored before can be an input, so edges make no cycle.
pub(in crate::database) static LINK: Bulk = Bulk::new(
    "id id, dependant int, tolerant int, owned int",
    "INSERT INTO hereafter_input (input, dependant, tolerant, owned)
     SELECT j.seq, input.dependant, input.tolerant, input.owned
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     WHERE j.seq < input.dependant ON CONFLICT (input, dependant) DO NOTHING",
);

/// Those of these edges that `LINK` found no input for. `+ 0` keeps the index of numbers out of it.
pub(in crate::database) static UNKNOWN: Bulk = Bulk::new(
    "id id, dependant int",
    "SELECT input.dependant, input.id FROM input WHERE input.id IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j
                       WHERE j.id = input.id AND j.seq + 0 < input.dependant)",
);

/// Blocks the new jobs of which an input has not ended, or ended without a result.
pub(in crate::database) const BLOCK: Statement = Statement::new(
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, count(CASE WHEN o.seq IS NULL THEN 1 END),
         count(CASE WHEN o.state <> 'done' AND e.tolerant = 0 THEN 1 END)
     FROM hereafter_input AS e THEN JOIN hereafter_job AS j ON (j.seq = e.dependant)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = e.input)
     WHERE e.dependant BETWEEN ? AND ?
     GROUP BY j.seq, j.queue, j.due_at
     HAVING count(CASE WHEN o.seq IS NULL OR (o.state <> 'done' AND e.tolerant = 0) THEN 1 END) > 0",
);

/// Counts inputs that nothing is known of. There is nothing that a row of `hereafter_input`
/// could hold, and nothing that could mend them.
pub(in crate::database) static BLOCK_FOR_UNKNOWN: Bulk = Bulk::new(
    "seq int, broken int",
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, 0, input.broken
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     WHERE true ON CONFLICT (seq) DO UPDATE SET
         broken = hereafter_blocked.broken + excluded.broken",
);

/// New jobs that cannot run.
pub(in crate::database) const BROKEN: Statement = Statement::new(
    "SELECT j.seq, j.id, j.task
     FROM hereafter_blocked AS b THEN JOIN hereafter_job AS j ON (j.seq = b.seq)
     WHERE b.seq BETWEEN ? AND ? AND b.broken > 0 ORDER BY b.seq",
);

/// Why they cannot.
pub(in crate::database) static BROKEN_INPUTS: Bulk = Bulk::new(
    "seq int",
    "SELECT e.dependant, j.id, j.task, j.failure, o.state
     FROM input THEN JOIN hereafter_input AS e ON (e.dependant = input.seq)
     THEN JOIN hereafter_outcome AS o ON (o.seq = e.input)
     THEN JOIN hereafter_job AS j ON (j.seq = e.input)
     WHERE e.tolerant = 0 AND o.state <> 'done'",
);

// ── the end of a job ──

/// Which of these jobs have to do with others: as either end of an edge, or of a continuation.
pub(in crate::database) static EDGES: Bulk = Bulk::new(
    "seq int",
    "SELECT * FROM (SELECT input.seq,
         EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = input.seq) AS is_input,
         EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.dependant = input.seq) AS is_dependant,
         EXISTS (SELECT 1 FROM hereafter_continued AS c
                 WHERE c.continued_by = input.seq) AS continues,
         EXISTS (SELECT 1 FROM hereafter_continued AS c WHERE c.seq = input.seq) AS is_continued
     FROM input) AS edges WHERE is_input OR is_dependant OR continues OR is_continued",
);

/// What cannot run once these jobs have ended without a result, all the way.
pub(in crate::database) static FALLEN: Bulk = Bulk::new(
    "seq int",
    ", fallen (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.dependant FROM fallen
         THEN JOIN hereafter_input AS e ON (e.input = fallen.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
         WHERE e.tolerant = 0 AND b.broken = 0
       UNION
         SELECT c.seq FROM fallen
         THEN JOIN hereafter_continued AS c ON (c.continued_by = fallen.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq) WHERE b.broken = 0)
     SELECT j.seq, j.id, j.task, j.failures, c.seq IS NOT NULL AS is_continued
     FROM fallen THEN JOIN hereafter_blocked AS b ON (b.seq = fallen.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = fallen.seq)
     THEN LEFT JOIN hereafter_continued AS c ON (c.seq = fallen.seq) WHERE b.broken = 0",
)
.on_postgres(
    ", fallen (seq) AS (
         SELECT seq FROM input
       UNION
         SELECT next.seq FROM fallen JOIN LATERAL (
             SELECT e.dependant AS seq FROM hereafter_input AS e
             THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
             WHERE e.input = fallen.seq AND e.tolerant = 0 AND b.broken = 0
           UNION ALL
             SELECT c.seq FROM hereafter_continued AS c
             THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq)
             WHERE c.continued_by = fallen.seq AND b.broken = 0) AS next ON true)
     SELECT j.seq, j.id, j.task, j.failures, c.seq IS NOT NULL AS is_continued
     FROM fallen THEN JOIN hereafter_blocked AS b ON (b.seq = fallen.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = fallen.seq)
     THEN LEFT JOIN hereafter_continued AS c ON (c.seq = fallen.seq) WHERE b.broken = 0",
);

/// Whose counts change with these jobs, and by how much: one row for each that waits, however
/// many of these it waits for. `cause` is the first that breaks it. What is continued by one with a
/// result is [completed](super::continued::COMPLETED).
pub(in crate::database) static AFFECTED: Bulk = Bulk::new(
    "seq int, has_result int",
    "SELECT b.seq, b.due_at, b.open, b.broken, count(*) AS edges,
         count(CASE WHEN input.has_result = 0 AND e.tolerant = 0 THEN 1 END) AS breaks,
         min(CASE WHEN input.has_result = 0 AND e.tolerant = 0 THEN e.input END) AS cause
     FROM input THEN JOIN hereafter_input AS e ON (e.input = input.seq)
     THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
     GROUP BY b.seq, b.due_at, b.open, b.broken
     UNION ALL
     SELECT b.seq, b.due_at, b.open, b.broken, 1, 1, c.continued_by
     FROM input THEN JOIN hereafter_continued AS c ON (c.continued_by = input.seq)
     THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq) WHERE input.has_result = 0",
);

/// Why these jobs have no result.
pub(in crate::database) static CAUSES: Bulk = Bulk::new(
    "seq int",
    "SELECT j.seq, j.id, j.task, j.failure, o.state
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN JOIN hereafter_outcome AS o ON (o.seq = j.seq)",
);

pub(in crate::database) static BREAK: Bulk = Bulk::new(
    "seq int, failure text",
    "UPDATE hereafter_job SET failure = input.failure FROM input
     WHERE hereafter_job.seq = input.seq",
);

pub(in crate::database) static COUNT: Bulk = Bulk::new(
    "seq int, open int, broken int",
    "UPDATE hereafter_blocked SET open = input.open, broken = input.broken
     FROM input WHERE hereafter_blocked.seq = input.seq",
);

pub(in crate::database) static UNBLOCK: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_blocked WHERE seq IN (SELECT seq FROM input)");

/// Inputs of these jobs that were kept for them: their own retention is over.
pub(in crate::database) static KEPT_FOR: Bulk = Bulk::new(
    "seq int",
    "SELECT DISTINCT j.id, o.keep_until
     FROM input THEN JOIN hereafter_input AS e ON (e.dependant = input.seq)
     THEN JOIN hereafter_outcome AS o ON (o.seq = e.input)
     THEN JOIN hereafter_job AS j ON (j.seq = o.seq) WHERE o.keep_until <= ?",
);

/// These jobs need their inputs no more.
pub(in crate::database) static UNLINK: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_input WHERE dependant IN (SELECT seq FROM input)");

/// Nothing is left of these jobs that could be needed.
pub(in crate::database) static UNLINK_DELETED: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_input WHERE input IN (SELECT seq FROM input)");

// ── cancel ──

/// Inputs that were made for these jobs, or for such an input, and that nobody else waits for.
/// What several of them share is not among these; see `SHARED`.
pub(in crate::database) static UNWANTED: Bulk = Bulk::new(
    "seq int",
    ", unwanted (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.input FROM unwanted
         THEN JOIN hereafter_input AS e ON (e.dependant = unwanted.seq)
         WHERE e.owned = 1
           AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = e.input)
           AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                           THEN JOIN hereafter_blocked AS b ON (b.seq = other.dependant)
                           WHERE other.input = e.input AND other.dependant <> e.dependant
                             AND b.broken = 0)
           AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                           THEN JOIN hereafter_blocked AS b ON (b.seq = other.seq)
                           WHERE other.continued_by = e.input AND b.broken = 0)
       UNION
         SELECT c.continued_by FROM unwanted
         THEN JOIN hereafter_continued AS c ON (c.seq = unwanted.seq)
         WHERE c.owned = 1
           AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = c.continued_by)
           AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                           THEN JOIN hereafter_blocked AS b ON (b.seq = other.dependant)
                           WHERE other.input = c.continued_by AND b.broken = 0)
           AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                           THEN JOIN hereafter_blocked AS b ON (b.seq = other.seq)
                           WHERE other.continued_by = c.continued_by AND other.seq <> c.seq
                             AND b.broken = 0))
     SELECT j.seq, j.id, r.seq IS NOT NULL AS running
     FROM unwanted THEN JOIN hereafter_job AS j ON (j.seq = unwanted.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)",
)
.on_postgres(
    ", unwanted (seq) AS (
         SELECT seq FROM input
       UNION
         SELECT next.seq FROM unwanted JOIN LATERAL (
             SELECT e.input AS seq FROM hereafter_input AS e
             WHERE e.dependant = unwanted.seq AND e.owned = 1
               AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = e.input)
               AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                               THEN JOIN hereafter_blocked AS b ON (b.seq = other.dependant)
                               WHERE other.input = e.input AND other.dependant <> e.dependant
                                 AND b.broken = 0)
               AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                               THEN JOIN hereafter_blocked AS b ON (b.seq = other.seq)
                               WHERE other.continued_by = e.input AND b.broken = 0)
           UNION ALL
             SELECT c.continued_by FROM hereafter_continued AS c
             WHERE c.seq = unwanted.seq AND c.owned = 1
               AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = c.continued_by)
               AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                               THEN JOIN hereafter_blocked AS b ON (b.seq = other.dependant)
                               WHERE other.input = c.continued_by AND b.broken = 0)
               AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                               THEN JOIN hereafter_blocked AS b ON (b.seq = other.seq)
                               WHERE other.continued_by = c.continued_by AND other.seq <> c.seq
                                 AND b.broken = 0)) AS next ON true)
     SELECT j.seq, j.id, r.seq IS NOT NULL AS running
     FROM unwanted THEN JOIN hereafter_job AS j ON (j.seq = unwanted.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)",
);

/// All inputs that were made for these jobs and have not ended.
pub(in crate::database) static OWNED: Bulk = Bulk::new(
    "seq int",
    "SELECT DISTINCT e.input AS seq
     FROM input THEN JOIN hereafter_input AS e ON (e.dependant = input.seq)
     WHERE e.owned = 1 AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = e.input)
     UNION
     SELECT c.continued_by
     FROM input THEN JOIN hereafter_continued AS c ON (c.seq = input.seq)
     WHERE c.owned = 1
       AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = c.continued_by)",
);

/// Those of these jobs that have not ended and that nobody waits for any more.
pub(in crate::database) static SHARED: Bulk = Bulk::new(
    "seq int",
    "SELECT j.seq, j.id, r.seq IS NOT NULL AS running
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = j.seq)
       AND NOT EXISTS (SELECT 1 FROM hereafter_input AS e
                       THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
                       WHERE e.input = j.seq AND b.broken = 0)
       AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS c
                       THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq)
                       WHERE c.continued_by = j.seq AND b.broken = 0)",
);

// ── replay and purge ──

/// What was broken by these jobs alone, all the way.
pub(in crate::database) static MENDED: Bulk = Bulk::new(
    "seq int",
    ", mended (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.dependant FROM mended
         THEN JOIN hereafter_input AS e ON (e.input = mended.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
         WHERE e.tolerant = 0 AND b.broken = 1
       UNION
         SELECT c.seq FROM mended
         THEN JOIN hereafter_continued AS c ON (c.continued_by = mended.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq) WHERE b.broken = 1)
     SELECT b.seq FROM mended THEN JOIN hereafter_blocked AS b ON (b.seq = mended.seq)
     WHERE b.broken = 1",
)
.on_postgres(
    ", mended (seq) AS (
         SELECT seq FROM input
       UNION
         SELECT next.seq FROM mended JOIN LATERAL (
             SELECT e.dependant AS seq FROM hereafter_input AS e
             THEN JOIN hereafter_blocked AS b ON (b.seq = e.dependant)
             WHERE e.input = mended.seq AND e.tolerant = 0 AND b.broken = 1
           UNION ALL
             SELECT c.seq FROM hereafter_continued AS c
             THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq)
             WHERE c.continued_by = mended.seq AND b.broken = 1) AS next ON true)
     SELECT b.seq FROM mended THEN JOIN hereafter_blocked AS b ON (b.seq = mended.seq)
     WHERE b.broken = 1",
);

/// What never ran, or is continued, has nothing else to go back to; its due time and its time to
/// expire hold.
pub(in crate::database) static REVIVE: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_job SET failure = NULL WHERE seq IN (SELECT seq FROM input)",
);

/// Which jobs these are.
pub(in crate::database) static IDS: Bulk = Bulk::new(
    "seq int",
    "SELECT j.id FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)",
);

/// Blocks those of these jobs of which an input has not ended.
pub(in crate::database) static BLOCK_AGAIN: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, count(*), 0
     FROM input THEN JOIN hereafter_input AS e ON (e.dependant = input.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = e.dependant)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = e.input)
     WHERE o.seq IS NULL GROUP BY j.seq, j.queue, j.due_at",
);

/// Which of these jobs are blocked.
pub(in crate::database) static BLOCKED: Bulk = Bulk::new(
    "seq int",
    "SELECT b.seq FROM input THEN JOIN hereafter_blocked AS b ON (b.seq = input.seq)",
);

/// Those of these jobs that have not ended.
pub(in crate::database) static UNENDED: Bulk = Bulk::new(
    "seq int",
    "SELECT j.seq, j.id FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = j.seq)",
);
