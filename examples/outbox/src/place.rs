//! Where a run of chaos has its tables: a place of its own, gone afterwards.

use anyhow::{Context, bail};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// A database, or a schema, that nobody else uses.
#[derive(Debug)]
pub(crate) enum Place {
    File(TempDir),
    Schema { server: String, name: String },
}

impl Place {
    /// A file in a temporary folder, or a new schema in the database at a URL.
    pub(crate) async fn make(url: Option<&str>, seed: u64) -> anyhow::Result<Self> {
        let Some(server) = url else {
            return Ok(Self::File(tempfile::tempdir().context("cannot make a temporary folder")?));
        };
        if server.starts_with("sqlite:") {
            bail!(
                "chaos is no good for a file that is in use: without `--url` it has one of its own"
            );
        }
        // Also when the same seed is tried twice.
        let name = format!("outbox_{seed:016x}_{}", std::process::id());
        let place = Self::Schema { server: server.to_owned(), name: name.clone() };
        run(server, format!("CREATE SCHEMA {name}")).await?;
        Ok(place)
    }

    /// The URL for everybody: the tables of the shop and those of its jobs are side by side.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite://{}", folder.path().join("outbox.db").display()),
            Self::Schema { server, name } => {
                let and = if server.contains('?') { '&' } else { '?' };
                format!("{server}{and}schema={name}&options[search_path]={name}")
            }
        }
    }

    /// Removes it.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        match self {
            Self::File(folder) => folder.close().context("cannot remove the temporary folder"),
            Self::Schema { server, name } => {
                run(&server, format!("DROP SCHEMA {name} CASCADE")).await
            }
        }
    }

    /// Leaves it to be looked at; answers its name.
    pub(crate) fn keep(self) -> String {
        match self {
            Self::File(folder) => folder.keep().display().to_string(),
            Self::Schema { name, .. } => format!("schema {name}"),
        }
    }
}

/// Runs a statement whose only variable part is a name of ours.
async fn run(server: &str, sql: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await.context("cannot reach PostgreSQL")?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}
