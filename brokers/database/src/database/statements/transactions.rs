//! Statements around transactions.

use crate::database::dialect::Statement;

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::Statement;

    /// Takes the write lock at once. A deferred transaction would take it at its first write, and
    /// then fail if somebody wrote since its first read.
    pub(crate) const BEGIN: Statement = Statement::new("BEGIN IMMEDIATE");

    /// Succeeds only outside of a transaction, and takes no lock.
    pub(in crate::database) const PROBE: Statement = Statement::new("BEGIN DEFERRED; COMMIT");

    /// Between transactions: whether the next commit waits for the disk. Without, the log is still
    /// written in order, so a loss of power takes back only what was not synced at the end of it.
    pub(in crate::database) const SYNC: Statement = Statement::new("PRAGMA synchronous = FULL");
    pub(in crate::database) const NO_SYNC: Statement =
        Statement::new("PRAGMA synchronous = NORMAL");

    /// Moves the log into the file and empties it, so that a closed store is one file.
    pub(in crate::database) const CHECKPOINT: Statement =
        Statement::new("PRAGMA wal_checkpoint(TRUNCATE)");
}

#[cfg(feature = "sqlite")]
pub(crate) use sqlite::*;

pub(crate) const COMMIT: Statement = Statement::new("COMMIT");
pub(crate) const ROLLBACK: Statement = Statement::new("ROLLBACK");

#[cfg(feature = "mysql")]
pub(in crate::database) const START: Statement = Statement::new("START TRANSACTION");

/// How a transaction begins on a server: in one way there and back, it learns the time and takes
/// its place. Those that touch only rows of their own take no lock. All others take that of the store,
/// most of them shared; one that needs to be alone has it alone. Who waits for it is served in the
/// order of asking, so neither kind starves.
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[derive(Debug)]
pub(in crate::database) struct Begin {
    pub(in crate::database) apart: Statement,
    pub(in crate::database) beside: Statement,
    pub(in crate::database) alone: Statement,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(in crate::database) const BEGIN_DURABLE: Begin = Begin {
    apart: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED;
         {settings}SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_APART),
    beside: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}SELECT pg_advisory_xact_lock_shared({lock});
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_BESIDE),
    alone: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}SELECT pg_advisory_xact_lock({lock});
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_ALONE),
};

/// The lock is a row. The time is independent of the session's zone.
const MYSQL_APART: &str = "START TRANSACTION;
     SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms";
const MYSQL_BESIDE: &str = "START TRANSACTION;
     SELECT number FROM hereafter_lock WHERE number = 0 LOCK IN SHARE MODE;
     SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms";
const MYSQL_ALONE: &str = "START TRANSACTION;
     SELECT number FROM hereafter_lock WHERE number = 0 FOR UPDATE;
     SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms";

/// The commit does not wait for the disk, where a transaction can say so.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(in crate::database) const BEGIN_FAST: Begin = Begin {
    apart: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}SET LOCAL synchronous_commit = off;
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_APART),
    beside: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock_shared({lock});
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_BESIDE),
    alone: Statement::new(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock({lock});
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
    )
    .on_mysql(MYSQL_ALONE),
};

/// A read behind a pooler: its statements are for one connection to the server.
#[cfg(feature = "postgres")]
pub(in crate::database) const BEGIN_READ: Statement = Statement::new("BEGIN READ ONLY; {settings}");
