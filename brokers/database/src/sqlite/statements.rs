//! Statements about the file: what `doctor` says of it, and bringing it up to date.

use crate::database::Statement;

// ── hearing of commits ──

/// Changes when another connection has committed.
pub(super) const DATA_VERSION: Statement =
    Statement::new("SELECT data_version AS version FROM pragma_data_version");

// ── looking over ──

pub(super) const SQLITE_VERSION: Statement = Statement::new("SELECT sqlite_version() AS version");
pub(super) const JOURNAL_MODE: Statement =
    Statement::new("SELECT journal_mode AS mode FROM pragma_journal_mode");
pub(super) const SYNCHRONOUS: Statement =
    Statement::new("SELECT synchronous AS level FROM pragma_synchronous");
pub(super) const PAGES: Statement = Statement::new(
    "SELECT page_count, page_size, freelist_count
     FROM pragma_page_count, pragma_page_size, pragma_freelist_count",
);

/// Reads every page, so it is asked only of small files; at most one line.
pub(super) const QUICK_CHECK: Statement = Statement::new("PRAGMA quick_check(1)");

pub(crate) const OLDEST_READY: Statement = Statement::new(
    "SELECT queue, min(due_at) AS due_at
     FROM hereafter_ready GROUP BY queue ORDER BY 2 LIMIT 1",
);

/// Rows of jobs that are not there. Deleting a job deletes them, so others have been at it.
pub(super) const LEFT_OVER: Statement = Statement::new(
    "SELECT count(*) AS rows FROM
         (SELECT seq FROM hereafter_attempt UNION ALL SELECT seq FROM hereafter_report
          UNION ALL SELECT seq FROM hereafter_log UNION ALL SELECT seq FROM hereafter_chunk) AS t
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = t.seq)",
);

// ── migrating ──

pub(super) const SCHEMA_TABLE: Statement =
    Statement::new("SELECT count(*) AS tables FROM sqlite_schema WHERE name = 'hereafter_schema'");

pub(super) const ALL_TABLES: Statement =
    Statement::new("SELECT count(*) AS tables FROM sqlite_schema");

pub(super) const CREATE_SCHEMA_TABLE: Statement = Statement::new(
    "CREATE TABLE hereafter_schema (
    version    INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT",
);

pub(super) const SCHEMA_VERSION: Statement =
    Statement::new("SELECT coalesce(max(version), 0) AS version FROM hereafter_schema");

/// Changes nothing, and fails on a file that cannot be written: there, `BEGIN IMMEDIATE` only
/// starts to read.
pub(super) const WRITE_NOTHING: Statement =
    Statement::new("DELETE FROM hereafter_schema WHERE version < 0");

pub(super) const SCHEMA_APPLIED: Statement =
    Statement::new("INSERT INTO hereafter_schema (version, applied_at) VALUES (?, ?)");

/// Says to `file(1)` whose file it is: "HRFT". Set only on files that we created.
pub(super) const APPLICATION_ID: Statement = Statement::new("PRAGMA application_id = 0x48524654");

/// The migrations, in order; a released one is never changed.
pub(super) const MIGRATIONS: [Statement; 7] = [
    Statement::new(include_str!("../../migrations/sqlite/0001_jobs.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0002_inputs.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0003_unique.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0004_schedules.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0005_continued.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0006_reports.sql")),
    Statement::new(include_str!("../../migrations/sqlite/0007_outbox.sql")),
];
