//! Statements about the schema and the server.

use crate::database::transactions::{COMMIT, ROLLBACK};
use crate::database::{Schema, Statement};

/// So that of many programs that start together one migrates and the others wait.
const BEGIN: Statement = Statement::new("BEGIN; SELECT pg_advisory_xact_lock({lock})");

/// Whether there are tables of ours.
const HAS_SCHEMA: Statement =
    // `to_regclass` remembers what it did not find, through a wait for a lock.
    Statement::new(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables
             WHERE schemaname = trim('\"' FROM '{schema}') AND tablename = 'schema') AS has_schema",
    );

const VERSION: Statement =
    Statement::new("SELECT coalesce(max(version), 0) AS version FROM hereafter_schema");

const CREATE: Statement = Statement::new(
    "CREATE SCHEMA IF NOT EXISTS {schema};
     CREATE TABLE hereafter_schema (
         version    bigint NOT NULL PRIMARY KEY,
         applied_at timestamptz NOT NULL DEFAULT now()
     )",
);

const APPLIED: Statement = Statement::new(
    "INSERT INTO hereafter_schema (version) SELECT max(version) + 1 FROM
         (SELECT version FROM hereafter_schema UNION ALL SELECT 0) AS known",
);

pub(super) static SCHEMA: Schema = Schema {
    begin: BEGIN,
    commit: COMMIT,
    roll_back: ROLLBACK,
    has_schema: HAS_SCHEMA,
    version: VERSION,
    create: CREATE,
    applied: APPLIED,
    migrations: &[
        Statement::new(include_str!("../../migrations/postgres/0001_jobs.sql")),
        Statement::new(include_str!("../../migrations/postgres/0002_outbox.sql")),
    ],
};

// ── looking over ──

pub(super) const SERVER: Statement = Statement::new(
    "SELECT current_setting('server_version') AS version,
         current_setting('synchronous_commit') AS synchronous_commit,
         current_setting('fsync') AS fsync,
         pg_is_in_recovery() AS is_standby",
);

pub(crate) const OLDEST_READY: Statement = Statement::new(
    "SELECT queue, min(due_at) AS due_at FROM hereafter_ready GROUP BY queue ORDER BY 2 LIMIT 1",
);

/// The transaction that keeps dead rows from being removed for longest, if it is so many seconds
/// old.
pub(super) const OLDEST_TRANSACTION: Statement = Statement::new(
    "SELECT pid::bigint AS pid, coalesce(usename::text, 'unknown') AS who,
         coalesce(state, 'unknown') AS state,
         extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
     FROM pg_stat_activity
     WHERE xact_start < clock_timestamp() - ? * interval '1 second' AND backend_xmin IS NOT NULL
       AND pid <> pg_backend_pid()
     ORDER BY xact_start LIMIT 1",
);

/// The table with the most dead rows, if they are more than those that live and than so many.
pub(super) const DEAD_ROWS: Statement = Statement::new(
    "SELECT relname::text AS name, n_dead_tup AS dead, n_live_tup AS live
     FROM pg_stat_user_tables
     WHERE relid IN (to_regclass('hereafter_ready'), to_regclass('hereafter_running'),
                     to_regclass('hereafter_job'), to_regclass('hereafter_outcome'),
                     to_regclass('hereafter_scheduled'), to_regclass('hereafter_outbox'))
       AND n_dead_tup > ? AND n_dead_tup > n_live_tup
     ORDER BY n_dead_tup DESC LIMIT 1",
);

/// The largest of the tables whose rows live for seconds, if it has so many bytes, and a thousand for
/// each row: a row with its index entry takes about 150.
pub(super) const BLOAT: Statement = Statement::new(
    "SELECT relname::text AS name, pg_total_relation_size(relid) AS bytes, n_live_tup AS live
     FROM pg_stat_user_tables
     WHERE relid IN (to_regclass('hereafter_ready'), to_regclass('hereafter_running'),
                     to_regclass('hereafter_scheduled'), to_regclass('hereafter_outbox'))
       AND pg_total_relation_size(relid) > ?
       AND pg_total_relation_size(relid) > 1000 * n_live_tup
     ORDER BY 2 DESC LIMIT 1",
);
