//! Bringing a file up to date.

use std::sync::Arc;

use taskcore::Clock;
use taskcore::broker::ConnectError;

use super::args::Args;
use super::connection::Connection;
use super::row;
use super::statements;
use crate::error::connect_error;

/// The newest schema that this program knows.
pub(super) const SUPPORTED: i64 = statements::MIGRATIONS.len() as i64;

/// Runs the migrations that are missing, under the write lock, so that of many processes that
/// start together one migrates and the others wait.
///
/// The lock is taken even when nothing is missing: it tells a file that cannot be written.
pub(super) async fn migrate(
    sql: &mut Connection,
    store: &Arc<str>,
    clock: &Clock,
) -> Result<(), ConnectError> {
    let failed = |error| connect_error(store, error);
    sql.script(statements::BEGIN).await.map_err(failed)?;
    match migrate_locked(sql, clock).await {
        Ok(found) if found > SUPPORTED => {
            sql.script(statements::ROLLBACK).await.map_err(failed)?;
            let store = store.to_string();
            Err(ConnectError::NewerSchema { store, found, supported: SUPPORTED })
        }
        Ok(_) => sql.script(statements::COMMIT).await.map_err(failed),
        // The connection is given up, and with it the transaction.
        Err(error) => Err(failed(error)),
    }
}

/// Answers the version found.
async fn migrate_locked(sql: &mut Connection, clock: &Clock) -> Result<i64, sqlx::Error> {
    let found = version(sql).await?;
    if found > SUPPORTED {
        return Ok(found);
    }
    if found == 0 {
        let tables = sql.fetch_one(statements::ALL_TABLES, Args::new()).await?;
        if row::integer(&tables, "tables")? == 0 {
            sql.script(statements::APPLICATION_ID).await?;
        }
        sql.script(statements::CREATE_SCHEMA_TABLE).await?;
    }
    sql.script(statements::WRITE_NOTHING).await?;
    for (version, migration) in (1..).zip(statements::MIGRATIONS) {
        if version > found {
            sql.script(migration).await?;
            let args = Args::new().with(version).with(clock.now_ms());
            sql.execute(statements::SCHEMA_APPLIED, args).await?;
        }
    }
    Ok(found)
}

/// The version of a file's schema; 0 if it has none of ours.
pub(super) async fn version(sql: &mut Connection) -> Result<i64, sqlx::Error> {
    let tables = sql.fetch_one(statements::SCHEMA_TABLE, Args::new()).await?;
    if row::integer(&tables, "tables")? == 0 {
        return Ok(0);
    }
    let row = sql.fetch_one(statements::SCHEMA_VERSION, Args::new()).await?;
    row::integer(&row, "version")
}
