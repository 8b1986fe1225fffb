//! [`Schema`]: the tables on a server, and bringing them up to date.

use taskcore::broker::{ConnectError, Migration};

use super::connection::Connection;
use super::dialect::Statement;
use super::link::Link;
use super::row::{Row, integer};

/// How a server's tables are looked for and made.
#[derive(Debug)]
pub(crate) struct Schema {
    /// So that of many programs that start together one migrates and the others wait.
    pub(crate) begin: Statement,
    pub(crate) commit: Statement,
    pub(crate) roll_back: Statement,
    /// Whether there are tables of ours, as `has_schema`.
    pub(crate) has_schema: Statement,
    /// As `version`.
    pub(crate) version: Statement,
    /// Makes what remembers the version.
    pub(crate) create: Statement,
    /// Raises the version by one.
    pub(crate) applied: Statement,
    /// In order; a released one is never changed.
    pub(crate) migrations: &'static [Statement],
}

/// What to do where there are no tables of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Create,
    Refuse,
}

impl Schema {
    /// The newest version that this program knows.
    pub(crate) fn supported(&self) -> i64 {
        self.migrations.len() as i64
    }

    /// Runs the migrations that are missing. Where none is, nothing is locked or written.
    pub(crate) async fn migrate(
        &self,
        sql: &mut Connection<'_>,
        link: &Link,
        if_missing: IfMissing,
    ) -> Result<(), ConnectError> {
        let failed = |error| link.connect_error(error);
        let mut found = self.version(sql).await.map_err(failed)?;
        if found == 0 && if_missing == IfMissing::Refuse {
            let reason = "there are no tables of Hereafter; only `run`, `migrate` and programs \
                          that delay calls create them"
                .to_owned();
            return Err(ConnectError::Unusable { store: link.label.to_string(), reason });
        }
        let supported = self.supported();
        if found < supported {
            sql.script(self.begin).await.map_err(failed)?;
            found = match self.migrate_locked(sql).await {
                Ok(found) => found,
                Err(error) => {
                    // The connection is given up, and with it what it holds.
                    let _ = sql.script(self.roll_back).await;
                    return Err(failed(error));
                }
            };
            sql.script(self.commit).await.map_err(failed)?;
        }
        if found > supported {
            let store = link.label.to_string();
            return Err(ConnectError::NewerSchema { store, found, supported });
        }
        Ok(())
    }

    /// Answers the version that it is now.
    async fn migrate_locked(&self, sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
        // Somebody else may have migrated meanwhile.
        let found = self.version(sql).await?;
        if found == 0 {
            sql.script(self.create).await?;
        }
        for (version, migration) in (1..).zip(self.migrations) {
            if version > found {
                sql.script(*migration).await?;
                sql.script(self.applied).await?;
            }
        }
        Ok(found.max(self.supported()))
    }

    /// The version of the tables; 0 if there are none of ours.
    pub(crate) async fn version(&self, sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
        // By scripts, which need no transaction behind a pooler.
        let found = sql.script(self.has_schema).await?;
        if first(&found, "has_schema")? == 0 {
            return Ok(0);
        }
        first(&sql.script(self.version).await?, "version")
    }

    /// What is to be run, in order, as it would be.
    pub(crate) async fn pending(
        &self,
        sql: &mut Connection<'_>,
        link: &Link,
    ) -> Result<Vec<Migration>, sqlx::Error> {
        let found = self.version(sql).await?;
        let text = |statement| link.dialect.text(&statement);
        let mut pending = Vec::new();
        for (version, migration) in (1..).zip(self.migrations) {
            if version > found {
                let create = if version == 1 { text(self.create) } else { "".into() };
                let parts = [
                    &*text(self.begin),
                    &*create,
                    &*text(*migration),
                    &*text(self.applied),
                    &*text(self.commit),
                ];
                let parts =
                    parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty());
                let script = parts.map(|part| part.trim_end_matches(';')).collect::<Vec<_>>();
                pending.push(Migration { version, sql: format!("{};\n", script.join(";\n")) });
            }
        }
        Ok(pending)
    }
}

fn first(rows: &[Row], column: &str) -> Result<i64, sqlx::Error> {
    integer(rows.first().ok_or(sqlx::Error::RowNotFound)?, column)
}
