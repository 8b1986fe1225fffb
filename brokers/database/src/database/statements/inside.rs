//! Statements around an operation inside somebody else's transaction.

use crate::database::dialect::Statement;

/// On SQLite it also takes the lock for writing, before anything is read: a transaction that has read
/// what others have since changed cannot write any more.
pub(in crate::database) const BEGIN: Statement =
    Statement::new("SAVEPOINT hereafter; DELETE FROM hereafter_schema WHERE version < 0")
        .on_postgres(
            "SAVEPOINT hereafter;
             SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms",
        )
        .on_mysql(
            "SAVEPOINT hereafter;
             SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms",
        );

pub(in crate::database) const BESIDE: Statement =
    Statement::new("SELECT pg_advisory_xact_lock_shared({lock})")
        .on_mysql("SELECT number FROM hereafter_lock WHERE number = 0 LOCK IN SHARE MODE");

pub(in crate::database) const ALONE: Statement =
    Statement::new("SELECT pg_advisory_xact_lock({lock})")
        .on_mysql("SELECT number FROM hereafter_lock WHERE number = 0 FOR UPDATE");

/// Undoes the operation, and gives up the locks that it has taken.
pub(in crate::database) const TAKE_BACK: Statement =
    Statement::new("ROLLBACK TO SAVEPOINT hereafter");

pub(in crate::database) const KEEP: Statement = Statement::new("RELEASE SAVEPOINT hereafter");
