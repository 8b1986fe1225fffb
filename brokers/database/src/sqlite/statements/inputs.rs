//! Statements about jobs that wait for others. None of them runs where no job does.
//!
//! `dependant` is a job that waits, `input` one that it waits for. Statements over closures
//! recurse in SQLite, which keeps a queue and no stack: a chain may have any length.

use crate::sqlite::bulk::Bulk;

/// Whether any job has inputs that still matter.
pub(in crate::sqlite) const HAS_EDGES: &str = "SELECT EXISTS (SELECT 1 FROM hereafter_input)
     OR EXISTS (SELECT 1 FROM hereafter_blocked) AS edges";

// ── enqueue ──

/// The numbers that jobs of this batch got; duplicates are left out.
pub(in crate::sqlite) static STORED: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "SELECT j.seq, j.id FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id
     WHERE j.seq BETWEEN ? AND ?",
);

/// Only what was stored before can be an input, so edges make no cycle.
pub(in crate::sqlite) static LINK: Bulk = Bulk::new(
    "WITH input (id, dependant, tolerant, owned) AS",
    4,
    "INSERT INTO hereafter_input (input, dependant, tolerant, owned)
     SELECT j.seq, input.dependant, input.tolerant, input.owned
     FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id
     WHERE j.seq < input.dependant ON CONFLICT (input, dependant) DO NOTHING",
);

/// Those of these edges that `LINK` found no input for.
pub(in crate::sqlite) static UNKNOWN: Bulk = Bulk::new(
    "WITH input (id, dependant) AS",
    2,
    "SELECT input.dependant, input.id FROM input WHERE input.id IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j
                       WHERE j.id = input.id AND j.seq < input.dependant)",
);

/// Blocks the new jobs of which an input has not ended, or ended without a result.
pub(in crate::sqlite) const BLOCK: &str =
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, count(*) FILTER (WHERE o.seq IS NULL) AS open,
         count(*) FILTER (WHERE o.state <> 'done' AND NOT e.tolerant) AS broken
     FROM hereafter_input AS e CROSS JOIN hereafter_job AS j ON j.seq = e.dependant
     LEFT JOIN hereafter_outcome AS o ON o.seq = e.input
     WHERE e.dependant BETWEEN ? AND ?
     GROUP BY e.dependant HAVING open > 0 OR broken > 0";

/// Counts inputs that nothing is known of. There is nothing that a row of `hereafter_input`
/// could hold, and nothing that could mend them.
pub(in crate::sqlite) static BLOCK_FOR_UNKNOWN: Bulk = Bulk::new(
    "WITH input (seq, broken) AS",
    2,
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, 0, input.broken
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     WHERE true ON CONFLICT (seq) DO UPDATE SET broken = broken + excluded.broken",
);

/// New jobs that cannot run.
pub(in crate::sqlite) const BROKEN: &str = "SELECT j.seq, j.id, j.task
     FROM hereafter_blocked AS b CROSS JOIN hereafter_job AS j ON j.seq = b.seq
     WHERE b.seq BETWEEN ? AND ? AND b.broken > 0 ORDER BY b.seq";

/// Why they cannot.
pub(in crate::sqlite) static BROKEN_INPUTS: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT e.dependant, j.id, j.task, j.failure, o.state
     FROM input CROSS JOIN hereafter_input AS e ON e.dependant = input.seq
     CROSS JOIN hereafter_outcome AS o ON o.seq = e.input
     CROSS JOIN hereafter_job AS j ON j.seq = e.input
     WHERE NOT e.tolerant AND o.state <> 'done'",
);

// ── the end of a job ──

/// Which of these jobs have to do with others: as either end of an edge, or of a continuation.
pub(in crate::sqlite) static EDGES: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT input.seq,
         EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = input.seq) AS is_input,
         EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.dependant = input.seq) AS is_dependant,
         EXISTS (SELECT 1 FROM hereafter_continued AS c
                 WHERE c.continued_by = input.seq) AS continues,
         EXISTS (SELECT 1 FROM hereafter_continued AS c WHERE c.seq = input.seq) AS is_continued
     FROM input WHERE is_input OR is_dependant OR continues OR is_continued",
);

/// What cannot run once these jobs have ended without a result, all the way.
pub(in crate::sqlite) static FALLEN: Bulk = Bulk::new(
    "WITH RECURSIVE input (seq) AS",
    1,
    ", fallen (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.dependant FROM fallen
         CROSS JOIN hereafter_input AS e ON e.input = fallen.seq
         CROSS JOIN hereafter_blocked AS b ON b.seq = e.dependant
         WHERE NOT e.tolerant AND b.broken = 0
       UNION
         SELECT c.seq FROM fallen
         CROSS JOIN hereafter_continued AS c ON c.continued_by = fallen.seq
         CROSS JOIN hereafter_blocked AS b ON b.seq = c.seq WHERE b.broken = 0)
     SELECT j.seq, j.id, j.task, j.failures, c.seq IS NOT NULL AS is_continued
     FROM fallen CROSS JOIN hereafter_blocked AS b ON b.seq = fallen.seq
     CROSS JOIN hereafter_job AS j ON j.seq = fallen.seq
     LEFT JOIN hereafter_continued AS c ON c.seq = fallen.seq WHERE b.broken = 0",
);

/// Whose counts change with these jobs, and by how much: one row for each that waits, however
/// many of these it waits for. `cause` is the first that breaks it. What is continued by one with a
/// result is [completed](super::continued::COMPLETED).
pub(in crate::sqlite) static AFFECTED: Bulk = Bulk::new(
    "WITH input (seq, has_result) AS",
    2,
    "SELECT b.seq, b.due_at, b.open, b.broken, count(*) AS edges,
         count(*) FILTER (WHERE NOT (input.has_result OR e.tolerant)) AS breaks,
         min(e.input) FILTER (WHERE NOT (input.has_result OR e.tolerant)) AS cause
     FROM input CROSS JOIN hereafter_input AS e ON e.input = input.seq
     CROSS JOIN hereafter_blocked AS b ON b.seq = e.dependant GROUP BY b.seq
     UNION ALL
     SELECT b.seq, b.due_at, b.open, b.broken, 1, 1, c.continued_by
     FROM input CROSS JOIN hereafter_continued AS c ON c.continued_by = input.seq
     CROSS JOIN hereafter_blocked AS b ON b.seq = c.seq WHERE NOT input.has_result",
);

/// Why these jobs have no result.
pub(in crate::sqlite) static CAUSES: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT j.seq, j.id, j.task, j.failure, o.state
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     CROSS JOIN hereafter_outcome AS o ON o.seq = j.seq",
);

pub(in crate::sqlite) static BREAK: Bulk = Bulk::new(
    "WITH input (seq, failure) AS",
    2,
    "UPDATE hereafter_job SET failure = input.failure FROM input WHERE hereafter_job.seq = input.seq",
);

pub(in crate::sqlite) static COUNT: Bulk = Bulk::new(
    "WITH input (seq, open, broken) AS",
    3,
    "UPDATE hereafter_blocked SET open = input.open, broken = input.broken
     FROM input WHERE hereafter_blocked.seq = input.seq",
);

pub(in crate::sqlite) static UNBLOCK: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_blocked WHERE seq IN (SELECT seq FROM input)",
);

/// Inputs of these jobs that were kept for them: their own retention is over.
pub(in crate::sqlite) static KEPT_FOR: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT DISTINCT j.id, o.keep_until
     FROM input CROSS JOIN hereafter_input AS e ON e.dependant = input.seq
     CROSS JOIN hereafter_outcome AS o ON o.seq = e.input
     CROSS JOIN hereafter_job AS j ON j.seq = o.seq WHERE o.keep_until <= ?",
);

/// These jobs need their inputs no more.
pub(in crate::sqlite) static UNLINK: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_input WHERE dependant IN (SELECT seq FROM input)",
);

/// Nothing is left of these jobs that could be needed.
pub(in crate::sqlite) static UNLINK_DELETED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_input WHERE input IN (SELECT seq FROM input)",
);

// ── cancel ──

/// Inputs that were made for these jobs, or for such an input, and that nobody else waits for.
/// What several of them share is not among these; see `SHARED`.
pub(in crate::sqlite) static UNWANTED: Bulk = Bulk::new(
    "WITH RECURSIVE input (seq) AS",
    1,
    ", unwanted (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.input FROM unwanted
         CROSS JOIN hereafter_input AS e ON e.dependant = unwanted.seq
         WHERE e.owned
           AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = e.input)
           AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                           CROSS JOIN hereafter_blocked AS b ON b.seq = other.dependant
                           WHERE other.input = e.input AND other.dependant <> e.dependant
                             AND b.broken = 0)
           AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                           CROSS JOIN hereafter_blocked AS b ON b.seq = other.seq
                           WHERE other.continued_by = e.input AND b.broken = 0)
       UNION
         SELECT c.continued_by FROM unwanted
         CROSS JOIN hereafter_continued AS c ON c.seq = unwanted.seq
         WHERE c.owned
           AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = c.continued_by)
           AND NOT EXISTS (SELECT 1 FROM hereafter_input AS other
                           CROSS JOIN hereafter_blocked AS b ON b.seq = other.dependant
                           WHERE other.input = c.continued_by AND b.broken = 0)
           AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS other
                           CROSS JOIN hereafter_blocked AS b ON b.seq = other.seq
                           WHERE other.continued_by = c.continued_by AND other.seq <> c.seq
                             AND b.broken = 0))
     SELECT j.seq, j.id, r.seq IS NOT NULL AS running
     FROM unwanted CROSS JOIN hereafter_job AS j ON j.seq = unwanted.seq
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq",
);

/// All inputs that were made for these jobs and have not ended.
pub(in crate::sqlite) static OWNED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT DISTINCT e.input AS seq
     FROM input CROSS JOIN hereafter_input AS e ON e.dependant = input.seq
     WHERE e.owned AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = e.input)
     UNION
     SELECT c.continued_by
     FROM input CROSS JOIN hereafter_continued AS c ON c.seq = input.seq
     WHERE c.owned
       AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = c.continued_by)",
);

/// Those of these jobs that have not ended and that nobody waits for any more.
pub(in crate::sqlite) static SHARED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT j.seq, j.id, r.seq IS NOT NULL AS running
     FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     LEFT JOIN hereafter_running AS r ON r.seq = j.seq
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = j.seq)
       AND NOT EXISTS (SELECT 1 FROM hereafter_input AS e
                       CROSS JOIN hereafter_blocked AS b ON b.seq = e.dependant
                       WHERE e.input = j.seq AND b.broken = 0)
       AND NOT EXISTS (SELECT 1 FROM hereafter_continued AS c
                       CROSS JOIN hereafter_blocked AS b ON b.seq = c.seq
                       WHERE c.continued_by = j.seq AND b.broken = 0)",
);

// ── replay and purge ──

/// What was broken by these jobs alone, all the way.
pub(in crate::sqlite) static MENDED: Bulk = Bulk::new(
    "WITH RECURSIVE input (seq) AS",
    1,
    ", mended (seq) AS (
         SELECT seq FROM input WHERE seq IS NOT NULL
       UNION
         SELECT e.dependant FROM mended
         CROSS JOIN hereafter_input AS e ON e.input = mended.seq
         CROSS JOIN hereafter_blocked AS b ON b.seq = e.dependant
         WHERE NOT e.tolerant AND b.broken = 1
       UNION
         SELECT c.seq FROM mended
         CROSS JOIN hereafter_continued AS c ON c.continued_by = mended.seq
         CROSS JOIN hereafter_blocked AS b ON b.seq = c.seq WHERE b.broken = 1)
     SELECT b.seq FROM mended CROSS JOIN hereafter_blocked AS b ON b.seq = mended.seq
     WHERE b.broken = 1",
);

/// What never ran, or is continued, has nothing else to go back to; its due time and its time to
/// expire hold. Tells which they are.
pub(in crate::sqlite) static REVIVE: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_job SET failure = NULL
     WHERE seq IN (SELECT seq FROM input) RETURNING id",
);

/// Blocks those of these jobs of which an input has not ended; tells which.
pub(in crate::sqlite) static BLOCK_AGAIN: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, count(*), 0
     FROM input CROSS JOIN hereafter_input AS e ON e.dependant = input.seq
     CROSS JOIN hereafter_job AS j ON j.seq = e.dependant
     LEFT JOIN hereafter_outcome AS o ON o.seq = e.input
     WHERE o.seq IS NULL GROUP BY j.seq RETURNING seq",
);

/// Those of these jobs that have not ended.
pub(in crate::sqlite) static UNENDED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT j.seq, j.id FROM input CROSS JOIN hereafter_job AS j ON j.seq = input.seq
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = j.seq)",
);
