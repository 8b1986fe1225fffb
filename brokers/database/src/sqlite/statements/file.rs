//! Statements about the file: what `doctor` says of it, and bringing it up to date.

// ── looking over ──

pub(in crate::sqlite) const SQLITE_VERSION: &str = "SELECT sqlite_version() AS version";
pub(in crate::sqlite) const JOURNAL_MODE: &str =
    "SELECT journal_mode AS mode FROM pragma_journal_mode";
pub(in crate::sqlite) const SYNCHRONOUS: &str =
    "SELECT synchronous AS level FROM pragma_synchronous";
pub(in crate::sqlite) const PAGES: &str = "SELECT page_count, page_size, freelist_count
     FROM pragma_page_count, pragma_page_size, pragma_freelist_count";

/// Reads every page, so it is asked only of small files; at most one line.
pub(in crate::sqlite) const QUICK_CHECK: &str = "PRAGMA quick_check(1)";

pub(in crate::sqlite) const OLDEST_READY: &str = "SELECT queue, min(due_at) AS due_at
     FROM hereafter_ready GROUP BY queue ORDER BY 2 LIMIT 1";

/// Rows of jobs that are not there. Deleting a job deletes them, so others have been at it.
pub(in crate::sqlite) const LEFT_OVER: &str = "SELECT count(*) AS rows FROM
         (SELECT seq FROM hereafter_attempt UNION ALL SELECT seq FROM hereafter_report
          UNION ALL SELECT seq FROM hereafter_log UNION ALL SELECT seq FROM hereafter_chunk) AS t
     WHERE NOT EXISTS (SELECT 1 FROM hereafter_job AS j WHERE j.seq = t.seq)";

// ── migrating ──

pub(in crate::sqlite) const SCHEMA_TABLE: &str =
    "SELECT count(*) AS tables FROM sqlite_schema WHERE name = 'hereafter_schema'";

pub(in crate::sqlite) const ALL_TABLES: &str = "SELECT count(*) AS tables FROM sqlite_schema";

pub(in crate::sqlite) const CREATE_SCHEMA_TABLE: &str = "CREATE TABLE hereafter_schema (
    version    INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT";

pub(in crate::sqlite) const SCHEMA_VERSION: &str =
    "SELECT ifnull(max(version), 0) AS version FROM hereafter_schema";

/// Changes nothing, and fails on a file that cannot be written: there, `BEGIN IMMEDIATE` only
/// starts to read.
pub(in crate::sqlite) const WRITE_NOTHING: &str = "DELETE FROM hereafter_schema WHERE version < 0";

pub(in crate::sqlite) const SCHEMA_APPLIED: &str =
    "INSERT INTO hereafter_schema (version, applied_at) VALUES (?, ?)";

/// Says to `file(1)` whose file it is: "HRFT". Set only on files that we created.
pub(in crate::sqlite) const APPLICATION_ID: &str = "PRAGMA application_id = 0x48524654";

/// The migrations, in order; a released one is never changed.
pub(in crate::sqlite) const MIGRATIONS: [&str; 6] = [
    include_str!("../../../migrations/sqlite/0001_jobs.sql"),
    include_str!("../../../migrations/sqlite/0002_inputs.sql"),
    include_str!("../../../migrations/sqlite/0003_unique.sql"),
    include_str!("../../../migrations/sqlite/0004_schedules.sql"),
    include_str!("../../../migrations/sqlite/0005_continued.sql"),
    include_str!("../../../migrations/sqlite/0006_reports.sql"),
];
