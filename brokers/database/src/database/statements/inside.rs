//! Statements around an operation inside somebody else's transaction.

use crate::database::dialect::Statement;

/// On MySQL a walk over dependants has as many steps as a chain of them is long, until `KEEP`.
/// On SQLite it also takes the lock for writing, before anything is read: a transaction that has read
/// what others have since changed cannot write any more.
pub(in crate::database) const BEGIN: Statement =
    Statement::new("SAVEPOINT hereafter; DELETE FROM hereafter_schema WHERE version < 0")
        .on_postgres(
            "SAVEPOINT hereafter;
             SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
                 current_setting('transaction_isolation') = 'read committed' AS is_current",
        )
        .on_mysql(
            "SAVEPOINT hereafter;
             SET @hereafter_depth = 0
                 /*M! + @@SESSION.max_recursive_iterations,
                      SESSION max_recursive_iterations = 4294967295 */
                 /*!80000 + @@SESSION.cte_max_recursion_depth,
                      SESSION cte_max_recursion_depth = 4294967295 */;
             SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) DIV 1000 AS now_ms,
                 0 AS is_current",
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

pub(in crate::database) const KEEP: Statement = Statement::new("RELEASE SAVEPOINT hereafter")
    .on_mysql(
        "RELEASE SAVEPOINT hereafter;
         SET /*M! SESSION max_recursive_iterations = @hereafter_depth */
             /*!80000 SESSION cte_max_recursion_depth = @hereafter_depth */",
    );

/// Whether a row is seen, and the number of the row that this transaction has left, if it has.
#[cfg(feature = "mysql")]
pub(in crate::database) const SEES: Statement = Statement::nowhere().on_mysql(
    "SELECT EXISTS (SELECT 1 FROM hereafter_batch WHERE number = ?) AS is_there,
         (SELECT b.number FROM hereafter_batch AS b WHERE b.number = @hereafter_row) AS own",
);

#[cfg(feature = "mysql")]
pub(in crate::database) const LEAVE_ROW: Statement = Statement::nowhere()
    .on_mysql("INSERT INTO hereafter_batch () VALUES (); SET @hereafter_row = LAST_INSERT_ID()");
