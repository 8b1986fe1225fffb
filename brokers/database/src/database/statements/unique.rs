//! Statements about unique keys. None of them runs where no job has one.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

/// Whether any job has a key.
pub(in crate::database) const HAS_KEYS: Statement =
    Statement::new("SELECT EXISTS (SELECT 1 FROM hereafter_unique) AS keys");

// ── enqueue ──

/// Which of these ids are taken. `+ 0` keeps the index of times out of it.
pub(in crate::database) static KNOWN: Bulk = Bulk::new(
    "id id",
    "SELECT input.id FROM input
     WHERE EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.id = input.id)
        OR EXISTS (SELECT 1 FROM hereafter_tombstone AS t
                   WHERE t.id = input.id AND t.keep_until + 0 > ?)",
);

/// Who holds these keys, and whether that job waits. A row that somebody left without its job
/// holds nothing.
pub(in crate::database) static HOLDERS: Bulk = Bulk::new(
    "place int, task text, key text",
    "SELECT input.place, u.id,
         j.seq IS NOT NULL AND r.seq IS NULL AND o.seq IS NULL AS waits
     FROM input THEN JOIN hereafter_unique AS u ON (u.task = input.task AND u.key = input.key
     AND u.held = 1)
     THEN LEFT JOIN hereafter_job AS j ON (j.seq = u.seq)
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = u.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = u.seq)
     WHERE CASE u.scope WHEN 'time' THEN u.held_until > ? ELSE j.seq IS NOT NULL END",
);

/// Frees these keys, for other jobs to take in the same step.
pub(in crate::database) static FREE: Bulk = Bulk::new(
    "task text, key text",
    "UPDATE hereafter_unique SET held = 0 WHERE seq IN LIST
         (SELECT u.seq FROM input THEN JOIN hereafter_unique AS u ON (u.task = input.task
     AND u.key = input.key AND u.held = 1))",
);

/// The same for those of jobs that are no longer stored.
pub(in crate::database) static FREE_DELETED: Bulk = Bulk::new(
    "task text, key text",
    "DELETE FROM hereafter_unique WHERE seq IN LIST
         (SELECT u.seq FROM input THEN JOIN hereafter_unique AS u ON (u.task = input.task
     AND u.key = input.key AND u.held = 1)
          WHERE NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = u.seq))",
);

/// The keys of new jobs.
pub(in crate::database) static TAKE_KEYS: Bulk = Bulk::new(
    "id id, key text, scope text, held int, held_until int",
    "INSERT INTO hereafter_unique (seq, id, task, key, scope, held, held_until)
     SELECT j.seq, j.id, j.task, input.key, input.scope, input.held, input.held_until
     FROM input THEN JOIN hereafter_job AS j ON (j.id = input.id) WHERE j.seq BETWEEN ? AND ?",
);

// ── the life of a job ──

/// These jobs were handed out. `held > 0` and not `= 1`, which would have PostgreSQL walk over the
/// index of all held keys.
pub(in crate::database) static FREE_QUEUED: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_unique SET held = 0
     WHERE seq IN (SELECT seq FROM input) AND held > 0 AND scope = 'queued'",
);

/// These jobs are final; `held > 0` for the same reason.
pub(in crate::database) static FREE_ENDED: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_unique SET held = 0
     WHERE seq IN (SELECT seq FROM input) AND held > 0 AND scope <> 'time'",
);

/// These jobs are deleted; a key that is held for a time stays until its time is over.
pub(in crate::database) static DELETE_KEYS: Bulk = Bulk::new(
    "seq int",
    "DELETE FROM hereafter_unique
     WHERE seq IN (SELECT seq FROM input) AND NOT (held = 1 AND scope = 'time')",
);

/// Keys whose time is over, of jobs that are no longer stored.
pub(in crate::database) const DELETE_OVER: Statement = Statement::new(
    "DELETE FROM hereafter_unique WHERE seq IN LIST
     (SELECT seq FROM hereafter_unique WHERE held = 1 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)
     AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = hereafter_unique.seq)",
)
.on_postgres(
    "DELETE FROM hereafter_unique WHERE seq IN LIST
     (SELECT seq FROM hereafter_unique WHERE held > 0 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)
     AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = hereafter_unique.seq)",
);

/// Keys whose time is over.
pub(in crate::database) const FREE_OVER: Statement = Statement::new(
    "UPDATE hereafter_unique SET held = 0 WHERE seq IN LIST
     (SELECT seq FROM hereafter_unique WHERE held = 1 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)",
)
.on_postgres(
    "UPDATE hereafter_unique SET held = 0 WHERE seq IN LIST
     (SELECT seq FROM hereafter_unique WHERE held > 0 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)",
);

// ── replay ──

/// Which of these failed jobs take their key again, and whether another one holds it.
pub(in crate::database) static WANTED: Bulk = Bulk::new(
    "seq int",
    "SELECT u.seq, u.task, u.key,
         EXISTS (SELECT 1 FROM hereafter_unique AS h
                 WHERE h.task = u.task AND h.key = u.key AND h.held = 1 AND h.seq <> u.seq
                   AND (h.scope <> 'time' OR h.held_until > ?)) AS held
     FROM input THEN JOIN hereafter_unique AS u ON (u.seq = input.seq)
     WHERE u.scope = 'unfinished'",
);

pub(in crate::database) static HOLD: Bulk = Bulk::new(
    "seq int",
    "UPDATE hereafter_unique SET held = 1 WHERE seq IN (SELECT seq FROM input)",
);
