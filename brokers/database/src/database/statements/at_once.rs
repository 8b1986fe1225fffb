//! Statements that do all of an operation, and so need no transaction around them: one way there and
//! back, where the steps of a transaction take seven. Only where a statement can say so much.

use crate::database::bulk::Bulk;
#[cfg(feature = "mysql")]
use crate::database::dialect::Statement;

/// Stores jobs that wait for nothing and have no unique key; answers the time, and the ids of those
/// that were stored: all but those with a tombstone. One that is there already is an error, and then the
/// operation is run in a transaction: to let it pass costs an entry in the log for every other one.
/// `due_at` is a time, and without one the job is due after `wait`.
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
         coalesce(string_agg(uuid_send(id), ''::bytea), ''::bytea) AS ids
     FROM stored",
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
