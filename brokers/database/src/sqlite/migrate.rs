//! Bringing a file up to date.

use taskcore::broker::{ConnectError, Migration};

use super::statements;
use crate::database::transactions::{BEGIN, COMMIT, ROLLBACK};
use crate::database::{Args, Connection, Link, integer};

/// The newest schema that this program knows.
pub(super) const SUPPORTED: i64 = statements::MIGRATIONS.len() as i64;

/// Runs the migrations that are missing, under the write lock, so that of many processes that
/// start together one migrates and the others wait.
///
/// The lock is taken even when nothing is missing: it tells a file that cannot be written.
pub(super) async fn migrate(sql: &mut Connection<'_>, link: &Link) -> Result<(), ConnectError> {
    let failed = |error| link.connect_error(error);
    sql.script(BEGIN).await.map_err(failed)?;
    match migrate_locked(sql, link.clock.now_ms()).await {
        Ok(found) if found > SUPPORTED => {
            sql.script(ROLLBACK).await.map_err(failed)?;
            let store = link.label.to_string();
            Err(ConnectError::NewerSchema { store, found, supported: SUPPORTED })
        }
        Ok(_) => sql.script(COMMIT).await.map(drop).map_err(failed),
        // The connection is given up, and with it the transaction.
        Err(error) => Err(failed(error)),
    }
}

/// Answers the version found.
async fn migrate_locked(sql: &mut Connection<'_>, now_ms: i64) -> Result<i64, sqlx::Error> {
    let found = version(sql).await?;
    if found > SUPPORTED {
        return Ok(found);
    }
    if found == 0 {
        let tables = sql.one(statements::ALL_TABLES).await?;
        if integer(&tables, "tables")? == 0 {
            sql.script(statements::APPLICATION_ID).await?;
        }
        sql.script(statements::CREATE_SCHEMA_TABLE).await?;
    }
    sql.script(statements::WRITE_NOTHING).await?;
    for (version, migration) in (1..).zip(statements::MIGRATIONS) {
        if version > found {
            sql.script(migration).await?;
            let args = Args::new().with(version).with(now_ms);
            sql.execute(statements::SCHEMA_APPLIED, args).await?;
        }
    }
    Ok(found)
}

/// The version of a file's schema; 0 if it has none of ours.
pub(super) async fn version(sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
    let tables = sql.one(statements::SCHEMA_TABLE).await?;
    if integer(&tables, "tables")? == 0 {
        return Ok(0);
    }
    let row = sql.one(statements::SCHEMA_VERSION).await?;
    integer(&row, "version")
}

/// What is to be run on a file of this version, in order, as it would be.
pub(super) fn after(link: &Link, found: i64) -> Vec<Migration> {
    let text = |statement| link.dialect.text(&statement);
    let mut pending = Vec::new();
    for (version, migration) in (1..).zip(statements::MIGRATIONS) {
        if version > found {
            let create = if version == 1 {
                format!("{};\n", text(statements::CREATE_SCHEMA_TABLE))
            } else {
                String::new()
            };
            let applied = text(statements::SCHEMA_APPLIED)
                .replacen('?', &version.to_string(), 1)
                .replacen('?', "unixepoch() * 1000", 1);
            let (begin, commit, migration) = (text(BEGIN), text(COMMIT), text(migration));
            let sql =
                format!("{begin};\n{create}{}\n{applied};\n{commit};\n", migration.trim_end());
            pending.push(Migration { version, sql });
        }
    }
    pending
}
