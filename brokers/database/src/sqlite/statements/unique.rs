//! Statements about unique keys. None of them runs where no job has one.

use crate::sqlite::bulk::Bulk;

/// Whether any job has a key.
pub(in crate::sqlite) const HAS_KEYS: &str =
    "SELECT EXISTS (SELECT 1 FROM hereafter_unique) AS keys";

// ── enqueue ──

/// Which of these ids are taken.
pub(in crate::sqlite) static KNOWN: Bulk = Bulk::new(
    "WITH input (id) AS",
    1,
    "SELECT input.id FROM input
     WHERE EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.id = input.id)
        OR EXISTS (SELECT 1 FROM hereafter_tombstone AS t
                   WHERE t.id = input.id AND t.keep_until > ?)",
);

/// Who holds these keys, and whether that job waits. A row that somebody left without its job
/// holds nothing.
pub(in crate::sqlite) static HOLDERS: Bulk = Bulk::new(
    "WITH input (place, task, key) AS",
    3,
    "SELECT input.place, u.id,
         j.seq IS NOT NULL AND r.seq IS NULL AND o.seq IS NULL AS waits
     FROM input CROSS JOIN hereafter_unique AS u
         ON u.task = input.task AND u.key = input.key AND u.held = 1
     LEFT JOIN hereafter_job AS j ON j.seq = u.seq
     LEFT JOIN hereafter_running AS r ON r.seq = u.seq
     LEFT JOIN hereafter_outcome AS o ON o.seq = u.seq
     WHERE CASE u.scope WHEN 'time' THEN u.held_until > ? ELSE j.seq IS NOT NULL END",
);

/// Frees these keys, for other jobs to take in the same step.
pub(in crate::sqlite) static FREE: Bulk = Bulk::new(
    "WITH input (task, key) AS",
    2,
    "UPDATE hereafter_unique SET held = 0 WHERE seq IN
         (SELECT u.seq FROM input CROSS JOIN hereafter_unique AS u
          ON u.task = input.task AND u.key = input.key AND u.held = 1)",
);

/// The same for those of jobs that are no longer stored.
pub(in crate::sqlite) static FREE_DELETED: Bulk = Bulk::new(
    "WITH input (task, key) AS",
    2,
    "DELETE FROM hereafter_unique WHERE seq IN
         (SELECT u.seq FROM input CROSS JOIN hereafter_unique AS u
          ON u.task = input.task AND u.key = input.key AND u.held = 1
          WHERE NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = u.seq))",
);

/// The keys of new jobs.
pub(in crate::sqlite) static TAKE_KEYS: Bulk = Bulk::new(
    "WITH input (id, key, scope, held, held_until) AS",
    5,
    "INSERT INTO hereafter_unique (seq, id, task, key, scope, held, held_until)
     SELECT j.seq, j.id, j.task, input.key, input.scope, input.held, input.held_until
     FROM input CROSS JOIN hereafter_job AS j ON j.id = input.id WHERE j.seq BETWEEN ? AND ?",
);

// ── the life of a job ──

/// These jobs were handed out.
pub(in crate::sqlite) static FREE_QUEUED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_unique SET held = 0
     WHERE seq IN (SELECT seq FROM input) AND held = 1 AND scope = 'queued'",
);

/// These jobs are final.
pub(in crate::sqlite) static FREE_ENDED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_unique SET held = 0
     WHERE seq IN (SELECT seq FROM input) AND held = 1 AND scope <> 'time'",
);

/// These jobs are deleted; a key that is held for a time stays until its time is over.
pub(in crate::sqlite) static DELETE_KEYS: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "DELETE FROM hereafter_unique
     WHERE seq IN (SELECT seq FROM input) AND NOT (held = 1 AND scope = 'time')",
);

/// Keys whose time is over, of jobs that are no longer stored.
pub(in crate::sqlite) const DELETE_OVER: &str = "DELETE FROM hereafter_unique WHERE seq IN
     (SELECT seq FROM hereafter_unique WHERE held = 1 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)
     AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = hereafter_unique.seq)";

/// Keys whose time is over.
pub(in crate::sqlite) const FREE_OVER: &str = "UPDATE hereafter_unique SET held = 0 WHERE seq IN
     (SELECT seq FROM hereafter_unique WHERE held = 1 AND scope = 'time' AND held_until <= ?
      ORDER BY held_until LIMIT ?)";

// ── replay ──

/// Which of these failed jobs take their key again, and whether another one holds it.
pub(in crate::sqlite) static WANTED: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "SELECT u.seq, u.task, u.key,
         EXISTS (SELECT 1 FROM hereafter_unique AS h
                 WHERE h.task = u.task AND h.key = u.key AND h.held = 1 AND h.seq <> u.seq
                   AND (h.scope <> 'time' OR h.held_until > ?)) AS held
     FROM input CROSS JOIN hereafter_unique AS u ON u.seq = input.seq
     WHERE u.scope = 'unfinished'",
);

pub(in crate::sqlite) static HOLD: Bulk = Bulk::new(
    "WITH input (seq) AS",
    1,
    "UPDATE hereafter_unique SET held = 1 WHERE seq IN (SELECT seq FROM input)",
);
