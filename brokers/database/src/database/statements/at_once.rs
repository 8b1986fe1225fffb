//! Statements that do all of an operation, and so need no transaction around them: one way there and
//! back, where the steps of a transaction take seven. Only where a statement can say so much.

use crate::database::bulk::Bulk;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::database::dialect::Statement;

/// Stores jobs that wait for nothing and have no unique key; answers the time, and the ids of those
/// that were stored: all but those with a tombstone. One that is there already is an error, and then the
/// operation is run in a transaction: to let it pass costs an entry in the log for every other one.
/// `due_at` is a time, and without one the job is due after `wait`.
///
/// With a channel it notifies others as well, which saves a way there and back, unless another such statement
/// is about to: the server lets transactions that notify commit one at a time, so nobody is to queue up for that.
pub(in crate::database) static STORE: Bulk = Bulk::nowhere(
    "place int, id id, queue text, task text, priority int, due_at int, wait int, expires_in int, \
     envelope bytes",
)
.on_postgres(
    ", clock AS MATERIALIZED (
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ? AS now_ms,
             nextval('hereafter_batch') * 1048576 AS first),
     stored AS (
         INSERT INTO hereafter_job
             (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope)
         SELECT (SELECT first FROM clock) + place, id, queue, task, priority,
             (SELECT now_ms FROM clock),
             greatest(coalesce(due_at, (SELECT now_ms FROM clock) + wait),
                 (SELECT now_ms FROM clock)),
             (SELECT now_ms FROM clock) + expires_in, envelope
         FROM input
         WHERE coalesce((SELECT t.keep_until FROM hereafter_tombstone AS t WHERE t.id = input.id),
             0) <= (SELECT now_ms FROM clock)
         RETURNING seq, id, queue, task, priority, due_at, expires_at),
     is_ready AS (
         INSERT INTO hereafter_ready (queue, rank, due_at, seq)
         SELECT queue, -priority, due_at, seq FROM stored
         WHERE due_at <= (SELECT now_ms FROM clock)),
     is_scheduled AS (
         INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
         SELECT due_at, seq, queue, -priority FROM stored
         WHERE due_at > (SELECT now_ms FROM clock)),
     may_expire AS (
         INSERT INTO hereafter_expiry (expires_at, seq)
         SELECT expires_at, seq FROM stored WHERE expires_at IS NOT NULL
         ON CONFLICT (expires_at, seq) DO NOTHING),
     counted AS (
         INSERT INTO hereafter_sum (task, stored) SELECT task, count(*) FROM stored GROUP BY task),
     told AS (
         INSERT INTO hereafter_event (count, at, events)
         SELECT count(*), (SELECT now_ms FROM clock),
             string_agg(?::bytea || uuid_send(id), ''::bytea)
         FROM stored WHERE ? > 0 HAVING count(*) > 0)
     SELECT (SELECT now_ms FROM clock) AS now_ms,
         coalesce(string_agg(uuid_send(id), ''::bytea), ''::bytea) AS ids,
         CASE WHEN count(*) = 0 OR ? = '' THEN false
             WHEN pg_try_advisory_xact_lock({lock} + 3) THEN pg_notify(?, ?) IS NOT NULL
             ELSE false END AS has_told
     FROM stored",
);

/// Leases the head of a queue, in a commit that does not wait for the disk; answers a row for each job, or one
/// without a job, and when the next scheduled job is due. `is_open` is false, and nothing is done, where a
/// transaction has to look: somebody has the store for himself, a scheduled job is due, or the first job has
/// expired; upkeep ends those that have expired behind it. Who had the store for himself until the statement
/// began is not missed: what he has taken from the queue is not taken again.
#[cfg(feature = "postgres")]
pub(in crate::database) const CLAIM: Statement = Statement::nowhere().on_postgres(
    "WITH clock AS MATERIALIZED (
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ? AS now_ms,
             set_config('synchronous_commit', 'off', true) AS commits,
             pg_try_advisory_xact_lock_shared({lock}) AS is_free,
             (SELECT s.due_at FROM hereafter_scheduled AS s ORDER BY s.due_at LIMIT 1)
                 AS next_due_at,
             (SELECT r.seq FROM hereafter_ready AS r WHERE r.queue = ?
              ORDER BY r.rank, r.due_at, r.seq LIMIT 1) AS first),
     gate AS MATERIALIZED (
         SELECT now_ms, next_due_at, EXISTS (SELECT 1 FROM hereafter_unique) AS has_keys,
             commits = 'off' AND is_free AND coalesce(next_due_at > now_ms, true)
                 AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = first
                     AND j.expires_at <= now_ms AND j.failures = 0 AND j.losses = 0)
             AS is_open
         FROM clock),
     head AS (
         DELETE FROM hereafter_ready WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM hereafter_ready AS r
             WHERE (SELECT is_open FROM gate) AND r.queue = ?
               AND NOT EXISTS (SELECT 1 FROM hereafter_paused AS p WHERE p.queue = ?)
               AND NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = r.seq
                   AND j.expires_at <= (SELECT now_ms FROM gate)
                   AND j.failures = 0 AND j.losses = 0)
             ORDER BY r.rank, r.due_at, r.seq LIMIT ? FOR UPDATE SKIP LOCKED))
         RETURNING rank, due_at, seq),
     leased AS (
         INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
         SELECT seq, ?, (SELECT now_ms FROM gate) + ?, (SELECT now_ms FROM gate), ? FROM head),
     freed AS (
         UPDATE hereafter_unique SET held = 0
         WHERE (SELECT has_keys FROM gate) AND seq = ANY(ARRAY(SELECT seq FROM head))
           AND held > 0 AND scope = 'queued'),
     taken AS MATERIALIZED (
         SELECT r.rank, r.due_at, r.seq, j.id, j.task, j.envelope,
             j.failures, j.losses, j.created_at,
             (SELECT t.number FROM hereafter_task AS t WHERE t.name = j.task) AS task_number
         FROM head AS r THEN JOIN hereafter_job AS j ON (j.seq = r.seq)),
     told AS (
         INSERT INTO hereafter_event (count, at, events)
         SELECT count(*), (SELECT now_ms FROM gate),
             substr(string_agg(?::bytea || uuid_send(id), ''::bytea ORDER BY rank, due_at, seq),
                 (17 * greatest(count(*) - ?, 0) + 1)::int)
         FROM taken WHERE ? > 0 HAVING count(*) > 0)
     SELECT gate.is_open, gate.now_ms, gate.next_due_at, taken.*
     FROM gate LEFT JOIN taken ON true ORDER BY taken.rank, taken.due_at, taken.seq",
);

/// How the [script](crate::database::script) that stores jobs on MySQL begins: it takes the store's lock
/// beside others, as any transaction does, a range of numbers, and the time. Its variables have names
/// without `hereafter_`, which stands for any prefix.
#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_BEGIN: Statement = Statement::nowhere().on_mysql(
    "START TRANSACTION;
     SELECT number FROM hereafter_lock WHERE number = 0 LOCK IN SHARE MODE;
     INSERT INTO hereafter_batch () VALUES ();
     SET @job_first = last_insert_id() * 1048576,
         @job_now = timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 + ?",
);

/// A row for each of these ids that has a tombstone. By the key alone: it is read with locks.
#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_TOMBSTONES: Statement = Statement::nowhere().on_mysql(
    "SELECT 1 FROM hereafter_tombstone FORCE INDEX (PRIMARY) WHERE id IN (?) AND keep_until > ?",
);

/// An error if there is such a row: a value has one.
#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_UNKNOWN: Statement =
    Statement::nowhere().on_mysql("SET @job_unknown = (SELECT 1 UNION ALL ?)");

#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_JOBS: Statement = Statement::nowhere().on_mysql(
    "INSERT INTO hereafter_job
         (seq, id, queue, task, priority, created_at, due_at, expires_at, envelope) VALUES ?",
);

#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_SUMS: Statement =
    Statement::nowhere().on_mysql("INSERT INTO hereafter_sum (task, stored) VALUES ?");

#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_EVENTS: Statement = Statement::nowhere()
    .on_mysql("INSERT INTO hereafter_event (count, at, events) VALUES (?, @job_now, ?)");

/// Answers the time after the commit, which may have waited.
#[cfg(feature = "mysql")]
pub(in crate::database) const SCRIPT_END: Statement = Statement::nowhere().on_mysql(
    "COMMIT;
     SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms",
);
