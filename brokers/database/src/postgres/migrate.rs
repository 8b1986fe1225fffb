//! Bringing a schema up to date.

use taskcore::broker::{ConnectError, Migration};

use super::options::IfMissing;
use super::statements;
use crate::database::transactions::{COMMIT, ROLLBACK};
use crate::database::{Connection, Link, Row, integer};

/// The newest schema that this program knows.
pub(super) const SUPPORTED: i64 = statements::MIGRATIONS.len() as i64;

/// Runs the migrations that are missing. Where none is, nothing is locked or written.
pub(super) async fn migrate(
    sql: &mut Connection<'_>,
    link: &Link,
    if_missing: IfMissing,
) -> Result<(), ConnectError> {
    let failed = |error| link.connect_error(error);
    let mut found = version(sql).await.map_err(failed)?;
    if found == 0 && if_missing == IfMissing::Refuse {
        let reason = "there are no tables of Hereafter; only `run`, `migrate` and programs that \
                      delay calls create them"
            .to_owned();
        return Err(ConnectError::Unusable { store: link.label.to_string(), reason });
    }
    if found < SUPPORTED {
        sql.script(statements::BEGIN).await.map_err(failed)?;
        found = match migrate_locked(sql).await {
            Ok(found) => found,
            Err(error) => {
                // The connection is given up, and with it the transaction.
                let _ = sql.script(ROLLBACK).await;
                return Err(failed(error));
            }
        };
        sql.script(COMMIT).await.map_err(failed)?;
    }
    if found > SUPPORTED {
        let store = link.label.to_string();
        return Err(ConnectError::NewerSchema { store, found, supported: SUPPORTED });
    }
    Ok(())
}

/// Answers the version that it is now.
async fn migrate_locked(sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
    // Somebody else may have migrated meanwhile.
    let found = version(sql).await?;
    if found == 0 {
        sql.script(statements::CREATE).await?;
    }
    for (version, migration) in (1..).zip(statements::MIGRATIONS) {
        if version > found {
            sql.script(migration).await?;
            sql.script(statements::APPLIED).await?;
        }
    }
    Ok(found.max(SUPPORTED))
}

/// The version of a schema; 0 if there is none of ours.
pub(super) async fn version(sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
    // By scripts, which need no transaction behind a pooler.
    let found = sql.script(statements::HAS_SCHEMA).await?;
    if first(&found, "has_schema")? == 0 {
        return Ok(0);
    }
    first(&sql.script(statements::VERSION).await?, "version")
}

fn first(rows: &[Row], column: &str) -> Result<i64, sqlx::Error> {
    integer(rows.first().ok_or(sqlx::Error::RowNotFound)?, column)
}

/// What is to be run, in order, as it would be.
pub(super) async fn pending(
    sql: &mut Connection<'_>,
    link: &Link,
) -> Result<Vec<Migration>, sqlx::Error> {
    let found = version(sql).await?;
    let text = |statement| link.dialect.text(&statement);
    let mut pending = Vec::new();
    for (version, migration) in (1..).zip(statements::MIGRATIONS) {
        if version > found {
            let create = if version == 1 { text(statements::CREATE) } else { "".into() };
            let parts = [
                &*text(statements::BEGIN),
                &*create,
                &*text(migration),
                &*text(statements::APPLIED),
                "COMMIT",
            ];
            let parts = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty());
            let script = parts.map(|part| part.trim_end_matches(';')).collect::<Vec<_>>();
            pending.push(Migration { version, sql: format!("{};\n", script.join(";\n")) });
        }
    }
    Ok(pending)
}
