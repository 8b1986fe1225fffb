//! Statements about the tables and the server.

use crate::database::{Schema, Statement};

pub(super) static SCHEMA: Schema = Schema {
    begin: Statement::new("SELECT get_lock('hereafter-{lock}', 60)"),
    commit: Statement::new("SELECT release_lock('hereafter-{lock}')"),
    roll_back: Statement::new("SELECT release_lock('hereafter-{lock}')"),
    has_schema: Statement::new(
        "SELECT EXISTS (SELECT 1 FROM information_schema.tables
             WHERE table_schema = database() AND table_name = 'hereafter_schema') AS has_schema",
    ),
    version: Statement::new("SELECT coalesce(max(version), 0) AS version FROM hereafter_schema"),
    create: Statement::new(
        "CREATE TABLE IF NOT EXISTS hereafter_schema (
    version    BIGINT    NOT NULL,
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (version)
) ENGINE = InnoDB",
    ),
    applied: Statement::new(
        "INSERT INTO hereafter_schema (version)
         SELECT coalesce(max(version), 0) + 1 FROM hereafter_schema",
    ),
    migrations: &[
        Statement::new(include_str!("../../migrations/mysql/0001_jobs.sql")),
        Statement::new(include_str!("../../migrations/mysql/0002_outbox.sql")),
    ],
};

// ── looking over ──

pub(super) const SERVER: Statement = Statement::new(
    "SELECT version() AS version, @@innodb_flush_log_at_trx_commit AS flush,
         @@read_only AS is_read_only",
);

pub(crate) const OLDEST_READY: Statement = Statement::new(
    "SELECT queue, min(due_at) AS due_at FROM hereafter_ready GROUP BY queue ORDER BY 2 LIMIT 1",
);

/// The transaction that keeps deleted rows from being removed for longest, if it is so many seconds
/// old. Only who may see processes of others may ask.
pub(super) const OLDEST_TRANSACTION: Statement = Statement::new(
    "SELECT CAST(trx_mysql_thread_id AS SIGNED) AS session,
         timestampdiff(SECOND, trx_started, now()) AS seconds
     FROM information_schema.innodb_trx
     WHERE trx_started < now() - INTERVAL ? SECOND AND trx_mysql_thread_id <> connection_id()
     ORDER BY trx_started LIMIT 1",
);
