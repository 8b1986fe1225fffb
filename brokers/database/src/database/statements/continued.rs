//! Statements about jobs that go on as others. None of them runs where no job waits for another.

use crate::database::bulk::Bulk;

/// A job of which somebody left a row goes on as its verdict says.
pub(in crate::database) static CONTINUE: Bulk = Bulk::new(
    "seq int, id id, keep_ms int, owned int",
    "INSERT INTO hereafter_continued (seq, continued_by, keep_ms, owned)
     SELECT input.seq, j.seq, input.keep_ms, input.owned
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id)
     WHERE true ON CONFLICT (seq) DO UPDATE SET continued_by = excluded.continued_by,
         keep_ms = excluded.keep_ms, owned = excluded.owned",
);

/// Those of these jobs that would wait for themselves: what nobody needs would not. It looks at
/// the way up only, which is short where a job made what continues it.
pub(in crate::database) static CYCLES: Bulk = Bulk::new(
    "seq int",
    ", needed (origin, seq) AS (
         SELECT c.seq, c.continued_by
         FROM input THEN JOIN hereafter_continued AS c ON (c.seq = input.seq)
         WHERE EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = c.seq)
            OR EXISTS (SELECT 1 FROM hereafter_continued AS n WHERE n.continued_by = c.seq)
       UNION
         SELECT needed.origin, e.input
         FROM needed THEN JOIN hereafter_input AS e ON (e.dependant = needed.seq)
       UNION
         SELECT needed.origin, c.continued_by
         FROM needed THEN JOIN hereafter_continued AS c ON (c.seq = needed.seq))
     SELECT DISTINCT origin AS seq FROM needed WHERE seq = origin",
)
.on_postgres(
    ", needed (origin, seq) AS (
         SELECT c.seq, c.continued_by
         FROM input THEN JOIN hereafter_continued AS c ON (c.seq = input.seq)
         WHERE EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = c.seq)
            OR EXISTS (SELECT 1 FROM hereafter_continued AS n WHERE n.continued_by = c.seq)
       UNION
         SELECT needed.origin, next.seq FROM needed JOIN LATERAL (
             SELECT e.input AS seq FROM hereafter_input AS e WHERE e.dependant = needed.seq
           UNION ALL
             SELECT c.continued_by FROM hereafter_continued AS c WHERE c.seq = needed.seq
         ) AS next ON true)
     SELECT DISTINCT origin AS seq FROM needed WHERE seq = origin",
);

/// These jobs, with what continues each, if that is known, and how it ended, if it has.
pub(in crate::database) static CONTINUED: Bulk = Bulk::new(
    "seq int",
    "SELECT k.seq, k.id AS own_id, k.task AS own_task, k.failures, c.continued_by,
         j.id, j.task, j.failure, o.state
     FROM input THEN JOIN hereafter_job AS k ON (k.seq = input.seq)
     THEN LEFT JOIN hereafter_continued AS c ON (c.seq = k.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = c.continued_by)
     THEN LEFT JOIN hereafter_job AS j ON (j.seq = o.seq)",
);

/// Blocks jobs that are continued by one that is stored.
pub(in crate::database) static BLOCK_CONTINUED: Bulk = Bulk::new(
    "seq int",
    "INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
     SELECT j.seq, j.queue, j.due_at, CASE WHEN o.seq IS NULL THEN 1 ELSE 0 END,
         CASE WHEN o.state <> 'done' THEN 1 ELSE 0 END
     FROM input THEN JOIN hereafter_continued AS c ON (c.seq = input.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = c.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = c.continued_by)
     WHERE true ON CONFLICT (seq) DO UPDATE SET open = excluded.open, broken = excluded.broken",
);

/// They have started, so they never expire.
pub(in crate::database) static STARTED: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_job SET expires_at = NULL, started_at = r.started_at, worker = r.worker
     FROM input THEN JOIN hereafter_running AS r ON (r.seq = input.seq)
     WHERE hereafter_job.seq = input.seq",
);

/// What is done with these jobs, all the way, each after what continues it. `root` is the one of
/// these that has the result.
pub(in crate::database) static COMPLETED: Bulk = Bulk::new(
    "seq int",
    ", completed (seq, root) AS (
         SELECT c.seq, input.seq
         FROM input THEN JOIN hereafter_continued AS c ON (c.continued_by = input.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq) WHERE b.broken = 0
       UNION
         SELECT c.seq, completed.root
         FROM completed THEN JOIN hereafter_continued AS c ON (c.continued_by = completed.seq)
         THEN JOIN hereafter_blocked AS b ON (b.seq = c.seq) WHERE b.broken = 0)
     SELECT j.seq, j.id, completed.root, c.keep_ms,
         EXISTS (SELECT 1 FROM hereafter_input AS e WHERE e.input = j.seq) AS is_input,
         EXISTS (SELECT 1 FROM hereafter_continued AS n WHERE n.continued_by = j.seq) AS continues
     FROM completed THEN JOIN hereafter_continued AS c ON (c.seq = completed.seq)
     THEN JOIN hereafter_job AS j ON (j.seq = completed.seq)",
);

/// With the result of the root, as it was given.
pub(in crate::database) static COMPLETE: Bulk = Bulk::new(
    "seq int, keep_until int, root int",
    "INSERT INTO hereafter_outcome
         (seq, state, finished_at, keep_until, started_at, worker, result)
     SELECT j.seq, 'done', ?, input.keep_until, j.started_at, j.worker, o.result
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN JOIN hereafter_outcome AS o ON (o.seq = input.root)",
);

/// What continued these jobs and was kept for them: its own retention is over.
pub(in crate::database) static KEPT_FOR_CONTINUED: Bulk = Bulk::new(
    "seq int",
    "SELECT DISTINCT j.id, o.keep_until
     FROM input THEN JOIN hereafter_continued AS c ON (c.seq = input.seq)
     THEN JOIN hereafter_outcome AS o ON (o.seq = c.continued_by)
     THEN JOIN hereafter_job AS j ON (j.seq = o.seq) WHERE o.keep_until <= ?",
);

/// These jobs wait for nothing any more.
pub(in crate::database) static UNCONTINUE: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_continued WHERE seq IN (SELECT seq FROM input)");

/// Nothing is left of these jobs that could be waited for.
pub(in crate::database) static UNCONTINUE_DELETED: Bulk = Bulk::new(
    "seq int",
    "DELETE FROM hereafter_continued WHERE continued_by IN (SELECT seq FROM input)",
);
