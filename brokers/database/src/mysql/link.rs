//! [`MysqlLink`]: how connections to a server are opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use taskcore::broker::{ConnectError, Migration};

use super::options::MysqlOptions;
use super::statements::SCHEMA;
use crate::database::{
    Dialect, Driver, Held, Kind, Link, Role, Source, Store, StoreClock, Target, Watch, lock_number,
};

/// Where a store is.
pub(crate) struct MysqlLink {
    connect: MySqlConnectOptions,
}

impl fmt::Debug for MysqlLink {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlLink").finish_non_exhaustive()
    }
}

impl MysqlLink {
    pub(crate) async fn open(&self, _role: Role) -> Result<Driver<'static>, sqlx::Error> {
        let connected = tokio::time::timeout(CONNECT_TIME, self.connect()).await;
        let connected = connected
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
        Ok(Driver::Mysql(Held::Owned(Box::new(connected))))
    }

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connected = self.connect.connect().await?;
        connected.execute(sqlx::raw_sql(AssertSqlSafe(SETTINGS))).await?;
        Ok(connected)
    }
}

/// Opens a store, creates it if it is missing, and brings its tables up to date.
pub(crate) async fn open(options: MysqlOptions) -> Result<Store, ConnectError> {
    let if_missing = options.if_missing;
    check_pool(&options)?;
    let link = Arc::new(link(options));
    let mut first = link.open(Role::First).await.map_err(|error| link.connect_error(error))?;
    SCHEMA.migrate(&mut first, &link, if_missing).await?;
    // It has done what it was for, whatever becomes of it.
    let _ = first.close().await;
    let watch = Watch::without_ear(Source::Polling("MySQL tells nobody of commits".into()));
    Store::of(link, watch).await
}

/// The migrations that opening would run.
pub(crate) async fn pending(options: MysqlOptions) -> Result<Vec<Migration>, ConnectError> {
    check_pool(&options)?;
    let link = link(options);
    let failed = |error| link.connect_error(error);
    let mut sql = link.open(Role::First).await.map_err(failed)?;
    let pending = SCHEMA.pending(&mut sql, &link).await.map_err(failed)?;
    // It has done what it was for, whatever becomes of it.
    let _ = sql.close().await;
    Ok(pending)
}

fn check_pool(options: &MysqlOptions) -> Result<(), ConnectError> {
    if options.pool.as_ref().is_some_and(|pool| pool.is_closed()) {
        let reason = "its pool is closed: give one that is open".to_owned();
        return Err(ConnectError::Unusable { store: options.label(), reason });
    }
    Ok(())
}

/// What it takes to open connections.
fn link(options: MysqlOptions) -> Link {
    let database = options.connect.get_database().unwrap_or_default();
    let lock = lock_number(&[database, &options.prefix]);
    let connect = options.connect.clone().statement_cache_capacity(STATEMENTS);
    // Settings below say more.
    let connect = connect.pipes_as_concat(false).no_engine_substitution(false);
    Link {
        label: options.label().into(),
        clock: StoreClock::of(options.clock),
        events: options.events,
        dialect: Dialect::new(Kind::Mysql, options.prefix, lock),
        target: Target::Mysql(Box::new(MysqlLink { connect })),
    }
}

/// Of our own sessions. In comments with `M!` is what only MariaDB knows, and with `!80000` what
/// only MySQL 8 does.
///
/// - Each statement sees what was committed before it, and locks nothing but the rows that it names.
/// - A value that does not fit is an error and is not cut.
/// - Statements say in which order they read their tables and by which keys; subqueries are asked
///   row by row.
/// - A walk over dependants has as many steps as a chain of them is long.
/// - Time-outs are half of those after which this program gives a connection up. A process that
///   stands still in the middle of a transaction holds everybody up; MySQL has no time-out for it.
const SETTINGS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 10
    /*M! , join_cache_level = 0, max_recursive_iterations = 4294967295, max_statement_time = 30,
         idle_transaction_timeout = 5, optimizer_switch =
         'exists_to_in=off,materialization=off,semijoin=off,split_materialized=off,rowid_filter=off'
    */
    /*!80000 , cte_max_recursion_depth = 4294967295, max_execution_time = 30000, optimizer_switch =
         'materialization=off,semijoin=off,block_nested_loop=off,hash_join=off'
    */";

/// All that there are, with room.
const STATEMENTS: usize = 400;

/// A server that does not answer for so long is not there.
const CONNECT_TIME: Duration = Duration::from_secs(10);
