//! Statements about what running jobs say, and what readers want.

use crate::database::bulk::Bulk;
use crate::database::dialect::Statement;

/// Whether there is anything to delete with a job but its own row.
pub(in crate::database) const HAS_TRACES: Statement = Statement::new(
    "SELECT EXISTS (SELECT 1 FROM hereafter_attempt) AS attempts,
         EXISTS (SELECT 1 FROM hereafter_report) AS reports",
);

// ── what jobs say ──

/// What these jobs have said so far.
pub(in crate::database) static SAID: Bulk = Bulk::new(
    "seq int",
    "SELECT j.seq, j.failures, p.version, p.lines, p.run, p.token, p.items
     FROM input THEN JOIN hereafter_job AS j ON (j.seq = input.seq)
     THEN LEFT JOIN hereafter_report AS p ON (p.seq = j.seq)",
);

/// Progress only where its version is higher.
pub(in crate::database) static SAY: Bulk = Bulk::new(
    "seq int, version int, done int, total int, message text, lines int, run int, token int, \
     items int",
    "INSERT INTO hereafter_report
         (seq, version, done, total, message, lines, run, token, items)
     SELECT seq, version, done, total, message, lines, run, token, items
     FROM input WHERE seq IS NOT NULL
     ON CONFLICT (seq) DO UPDATE SET
         done = CASE WHEN excluded.version > hereafter_report.version
             THEN excluded.done ELSE hereafter_report.done END,
         total = CASE WHEN excluded.version > hereafter_report.version
             THEN excluded.total ELSE hereafter_report.total END,
         message = CASE WHEN excluded.version > hereafter_report.version
             THEN excluded.message ELSE hereafter_report.message END,
         version = excluded.version, lines = excluded.lines, run = excluded.run,
         token = excluded.token, items = excluded.items",
);

pub(in crate::database) static ADD_LINE: Bulk = Bulk::new(
    "seq int, line int, at int, attempt int, text text",
    "INSERT INTO hereafter_log (seq, line, at, attempt, text)
     SELECT seq, line, at, attempt, text FROM input WHERE seq IS NOT NULL",
);

pub(in crate::database) static ADD_CHUNK: Bulk = Bulk::new(
    "seq int, first int, count int, items bytes",
    "INSERT INTO hereafter_chunk (seq, first, count, items)
     SELECT seq, first, count, items FROM input WHERE seq IS NOT NULL",
);

pub(in crate::database) static DELETE_CHUNKS: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_chunk WHERE seq IN (SELECT seq FROM input)");

pub(in crate::database) static DELETE_LINES: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_log WHERE seq IN (SELECT seq FROM input)");

/// Which of these jobs have said something.
pub(in crate::database) static WITH_REPORTS: Bulk = Bulk::new(
    "seq int",
    "SELECT p.seq FROM input THEN JOIN hereafter_report AS p ON (p.seq = input.seq)",
);

pub(in crate::database) static DELETE_REPORTS: Bulk =
    Bulk::new("seq int", "DELETE FROM hereafter_report WHERE seq IN (SELECT seq FROM input)");

// ── what readers learn and want ──

pub(in crate::database) const PROGRESS: Statement = Statement::new(
    "SELECT j.due_at, o.state,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
         p.version, p.done, p.total, p.message
     FROM hereafter_job AS j
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)
     THEN LEFT JOIN hereafter_report AS p ON (p.seq = j.seq) WHERE j.id = ?",
);

pub(in crate::database) const LOG: Statement = Statement::new(
    "SELECT l.at, l.attempt, l.text
     FROM hereafter_job AS j THEN JOIN hereafter_log AS l ON (l.seq = j.seq)
     WHERE j.id = ? ORDER BY l.line",
);

/// A job and its stream, in a row for each chunk, from the one that has the index asked for on: the
/// parameters are run, run, index, id and limit. A reader of another run is told the beginning.
pub(in crate::database) const ITEMS: Statement = Statement::new(
    "SELECT j.due_at, o.state,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
         p.run, p.items AS total, c.first, c.items
     FROM hereafter_job AS j
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)
     THEN LEFT JOIN hereafter_report AS p ON (p.seq = j.seq)
     LEFT JOIN hereafter_chunk AS c ON c.seq = j.seq AND c.first >=
         (SELECT max(k.first) FROM hereafter_chunk AS k WHERE k.seq = j.seq AND k.first <=
             CASE WHEN ? IS NULL OR ? = p.run THEN ? ELSE 0 END)
     WHERE j.id = ? ORDER BY c.first LIMIT ?",
)
.on_postgres(
    "SELECT j.due_at, o.state,
         r.seq IS NOT NULL AS running, b.seq IS NOT NULL AS blocked,
         p.run, p.items AS total, c.first, c.items
     FROM hereafter_job AS j
     THEN LEFT JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_outcome AS o ON (o.seq = j.seq)
     THEN LEFT JOIN hereafter_blocked AS b ON (b.seq = j.seq)
     THEN LEFT JOIN hereafter_report AS p ON (p.seq = j.seq)
     LEFT JOIN LATERAL (SELECT first, items FROM hereafter_chunk AS c
         WHERE c.seq = j.seq AND c.first >=
             (SELECT max(k.first) FROM hereafter_chunk AS k WHERE k.seq = j.seq AND k.first <=
                 CASE WHEN $1::bigint IS NULL OR $2 = p.run THEN $3 ELSE 0 END)
         ORDER BY c.first LIMIT $5) AS c ON true
     WHERE j.id = $4 ORDER BY c.first",
);

pub(in crate::database) const PULL: Statement = Statement::new(
    "INSERT INTO hereafter_report (seq, wanted, pulled_at)
     SELECT j.seq, ?, ? FROM hereafter_job AS j WHERE j.id = ?
       AND NOT EXISTS (SELECT 1 FROM hereafter_outcome AS o WHERE o.seq = j.seq)
     ON CONFLICT (seq) DO UPDATE SET
         wanted = greatest(hereafter_report.wanted, excluded.wanted),
         pulled_at = excluded.pulled_at",
);

/// What readers want of those of these jobs that run; `key` is the place in the list.
pub(in crate::database) const DEMAND: Statement = Statement::new(
    "SELECT asked.place, r.started_at, p.wanted, p.pulled_at
     FROM {ids} AS asked THEN JOIN hereafter_job AS j ON (j.id = asked.id)
     THEN JOIN hereafter_running AS r ON (r.seq = j.seq)
     THEN LEFT JOIN hereafter_report AS p ON (p.seq = j.seq)",
);
