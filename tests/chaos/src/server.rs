//! The servers that campaigns run on, and what somebody who is not part of the system does there.

use anyhow::{Context, bail};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, Row};
use taskservers::{MariaDb, Postgres};

use crate::fault::Fault;

/// Which server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
}

/// A private server, with its durable defaults.
#[derive(Debug)]
pub(crate) enum Server {
    Postgres(Postgres),
    MariaDb(MariaDb),
}

impl Server {
    /// Starts one. It blocks.
    pub(crate) fn start(kind: Kind, fault: Fault) -> anyhow::Result<Self> {
        match (kind, fault) {
            (Kind::Postgres, _) => Ok(Self::Postgres(Postgres::start_with(fault.settings()))),
            (Kind::Mysql, Fault::Snapshot) => {
                bail!("what a snapshot costs is counted on PostgreSQL only: choose another fault")
            }
            (Kind::Mysql, _) => Ok(Self::MariaDb(MariaDb::start())),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::MariaDb(server) => server.url(),
        }
    }

    /// Stops it in good order.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Postgres(server) => server.stop(),
            Self::MariaDb(server) => server.stop(),
        }
    }

    /// Kills it like a crash.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::MariaDb(server) => server.kill(),
        }
    }

    pub(crate) fn start_again(&mut self) {
        match self {
            Self::Postgres(server) => server.start_again(),
            Self::MariaDb(server) => server.start_again(),
        }
    }

    /// A session of an administrator.
    pub(crate) async fn session(&self) -> anyhow::Result<Session> {
        let failed = "cannot open a session beside the system";
        match self {
            Self::Postgres(server) => {
                let options: PgConnectOptions = server.url().parse()?;
                Ok(Session::Postgres(options.connect().await.context(failed)?))
            }
            Self::MariaDb(server) => {
                // Without a database: so it is told from those of the system.
                let url = server.url();
                let (place, _) = url.rsplit_once('/').context("the URL names a database")?;
                let options: MySqlConnectOptions = place.parse()?;
                Ok(Session::MariaDb(options.connect().await.context(failed)?))
            }
        }
    }
}

/// A session beside the system.
#[derive(Debug)]
pub(crate) enum Session {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Session {
    /// Ends every other session of the database; how many there were.
    pub(crate) async fn end_others(&mut self) -> anyhow::Result<u64> {
        match self {
            Self::Postgres(session) => {
                let ended: i64 = sqlx::query_scalar(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .fetch_one(session)
                .await?;
                Ok(ended.unsigned_abs())
            }
            Self::MariaDb(session) => {
                let others = "SELECT id FROM information_schema.processlist WHERE db = 'test'";
                let others = sqlx::query(others).fetch_all(&mut *session).await?;
                let mut ended = 0;
                for row in others {
                    let id: i64 = row.try_get_unchecked(0)?;
                    let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
                    // It may have ended by itself meanwhile.
                    ended += u64::from(kill.execute(&mut *session).await.is_ok());
                }
                Ok(ended)
            }
        }
    }

    /// Deletes the first job that waits, as somebody might by hand; whether there was one.
    pub(crate) async fn steal(&mut self) -> anyhow::Result<bool> {
        match self {
            Self::Postgres(session) => {
                let stolen = sqlx::query(
                    "WITH head AS (
                         DELETE FROM hereafter.ready WHERE ctid = ANY(ARRAY(
                             SELECT ctid FROM hereafter.ready LIMIT 1 FOR UPDATE SKIP LOCKED))
                         RETURNING seq)
                     DELETE FROM hereafter.job WHERE seq IN (SELECT seq FROM head)",
                )
                .execute(session)
                .await?;
                Ok(stolen.rows_affected() > 0)
            }
            Self::MariaDb(session) => {
                let mut transaction = session.begin().await?;
                let head = "SELECT seq FROM test.hereafter_ready LIMIT 1 FOR UPDATE SKIP LOCKED";
                let Some(row) = sqlx::query(head).fetch_optional(&mut *transaction).await? else {
                    return Ok(false);
                };
                let seq: i64 = row.try_get(0)?;
                for table in ["hereafter_ready", "hereafter_job"] {
                    let delete = format!("DELETE FROM test.{table} WHERE seq = {seq}");
                    sqlx::raw_sql(AssertSqlSafe(delete)).execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
                Ok(true)
            }
        }
    }
}
