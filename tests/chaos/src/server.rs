//! The servers that campaigns run on, and what somebody who is not part of the system does there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, Row};
use taskservers::{MariaDb, Postgres};
use url::Url;

use crate::fault::Fault;
use crate::rabbitmq::{self, Rabbit, Results};

/// Which server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
    Amqp(Results),
    /// No server: a file.
    Sqlite,
}

impl Kind {
    /// Whether only the ledgers know what became of a job.
    pub(crate) fn is_without_store(self) -> bool {
        matches!(self, Self::Amqp(Results::None))
    }

    /// Whether a second server is beside the first.
    pub(crate) fn has_server_beside(self) -> bool {
        matches!(self, Self::Amqp(Results::Postgres))
    }

    /// What it is called in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Amqp(Results::None) => "amqp",
            Self::Amqp(Results::Postgres) => "amqp+postgres",
            Self::Amqp(Results::Sqlite) => "amqp+sqlite",
            Self::Sqlite => "sqlite",
        }
    }
}

/// A private server, with its durable defaults, or a file.
#[derive(Debug)]
pub(crate) enum Server {
    Postgres(Postgres),
    MariaDb(MariaDb),
    RabbitMq(Box<Rabbit>),
    File(PathBuf),
}

impl Server {
    /// Starts one, for a fault or for a storm. It blocks.
    pub(crate) fn start(kind: Kind, fault: Option<Fault>, folder: &Path) -> anyhow::Result<Self> {
        match (kind, fault) {
            (Kind::Amqp(results), _) => {
                Ok(Self::RabbitMq(Box::new(Rabbit::start(results, fault, folder)?)))
            }
            (Kind::Sqlite, Some(_)) => {
                bail!("a file has no server that could fail: leave `--fault` out, for a storm")
            }
            (Kind::Sqlite, None) => Ok(Self::File(folder.join("store.db"))),
            (_, Some(Fault::KillNode)) => {
                bail!(
                    "only a cluster has nodes, and only `amqp` has a cluster: choose another fault"
                )
            }
            (Kind::Postgres, _) => {
                let settings = fault.map_or(&[][..], Fault::settings);
                Ok(Self::Postgres(Postgres::start_with(settings)))
            }
            (Kind::Mysql, Some(Fault::Snapshot)) => {
                bail!("what a snapshot costs is counted on PostgreSQL only: choose another fault")
            }
            (Kind::Mysql, _) => Ok(Self::MariaDb(MariaDb::start())),
        }
    }

    /// For one of the processes of the system, by number. The store keeps so many events.
    pub(crate) fn url(&self, process: usize, events: u32) -> anyhow::Result<String> {
        match self {
            Self::Postgres(server) => Ok(format!("{}?events={events}", server.url())),
            Self::MariaDb(server) => Ok(format!("{}?events={events}", server.url())),
            Self::RabbitMq(rabbit) => rabbit.url(process, events),
            Self::File(path) => Ok(format!("{}?events={events}", file_url(path)?)),
        }
    }

    /// Where it listens on this machine; with a store that is a server, where that one does.
    pub(crate) fn ports(&self) -> anyhow::Result<Vec<u16>> {
        match self {
            Self::Postgres(server) => Ok(vec![port(&server.url())?]),
            Self::MariaDb(server) => Ok(vec![port(&server.url())?]),
            Self::RabbitMq(rabbit) => rabbit.ports(),
            Self::File(_) => Ok(Vec::new()),
        }
    }

    /// Stops it in good order, and starts it again.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::MariaDb(server) => server.restart(),
            Self::RabbitMq(rabbit) => rabbit.restart()?,
            Self::File(_) => bail!(NO_SERVER),
        }
        Ok(())
    }

    /// Kills it, and starts it again.
    pub(crate) fn crash(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(server) => {
                server.kill();
                server.start_again();
            }
            Self::MariaDb(server) => {
                server.kill();
                server.start_again();
            }
            Self::RabbitMq(rabbit) => rabbit.crash()?,
            Self::File(_) => bail!(NO_SERVER),
        }
        Ok(())
    }

    /// Kills the store beside RabbitMQ, and starts it again.
    pub(crate) fn crash_store(&mut self) -> anyhow::Result<()> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.crash_store(),
            _ => bail!("only RabbitMQ has a store beside it"),
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
            Self::RabbitMq(rabbit) => Ok(Session::RabbitMq(Box::new(rabbit.session().await?))),
            Self::File(_) => bail!(NO_SERVER),
        }
    }
}

const NO_SERVER: &str = "a file has no server";

/// The port of a server's URL.
pub(crate) fn port(url: &str) -> anyhow::Result<u16> {
    Url::parse(url)?.port().context("the URL of a private server has a port")
}

/// The URL of a store in a file.
pub(crate) fn file_url(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().context("the temporary folder is named in other letters")?;
    Ok(format!("sqlite://{path}"))
}

/// A session beside the system.
#[derive(Debug)]
pub(crate) enum Session {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    RabbitMq(Box<lapin::Connection>),
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
            Self::RabbitMq(_) => bail!("RabbitMQ has no sessions of a database"),
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
            Self::RabbitMq(session) => rabbitmq::steal(session).await,
        }
    }
}
