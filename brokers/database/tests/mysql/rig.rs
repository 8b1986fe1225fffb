//! Tables of its own, on the shared server or on one of its own.

use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskcore::broker::{Broker, ConnectError};
use taskcore::error_chain;
use taskservers::MariaDb;
pub(crate) use taskservers::MariaDb as Server;
use tokio::time::{sleep, timeout};

pub(crate) use crate::words::{done, job, jobs, request, settle, store, take};

/// The newest version of the tables.
pub(crate) const SCHEMA: i64 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Rig {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Rig {
    /// On the server that all tests share.
    pub(crate) fn shared() -> Self {
        let server = MariaDb::shared();
        Self { url: server.url().to_owned(), prefix: server.prefix() }
    }

    /// On a server that the test has for itself.
    pub(crate) fn on(server: &MariaDb) -> Self {
        Self { url: server.url(), prefix: "jobs_".to_owned() }
    }

    pub(crate) fn options(&self) -> MysqlOptions {
        MysqlOptions::parse(&self.url).unwrap().prefix(&self.prefix).unwrap()
    }

    pub(crate) async fn open(&self) -> Arc<MysqlBroker> {
        MysqlBroker::open(self.options()).await.unwrap()
    }

    /// A connection of somebody who does not know Hereafter, and has no database of its own.
    pub(crate) async fn raw(&self) -> Raw {
        let (server, _) = self.url.rsplit_once('/').unwrap();
        let options: MySqlConnectOptions = server.parse().unwrap();
        Raw { sql: options.connect().await.unwrap(), prefix: self.prefix.clone() }
    }
}

impl Rig {
    /// What tells the store from others.
    pub(crate) fn name(&self) -> &str {
        &self.prefix
    }

    /// Whether there are tables of it.
    pub(crate) async fn is_made(&self) -> bool {
        let tables = format!(
            "SELECT count(*) FROM information_schema.tables WHERE table_name = '{}schema'",
            self.prefix
        );
        self.raw().await.number(&tables).await > 0
    }
}

/// The type of what is counted.
pub(crate) const INTEGER: &str = "signed";

/// A connection of somebody else. In statements, `{t}` is what comes before the name of a table.
pub(crate) struct Raw {
    pub(crate) sql: MySqlConnection,
    prefix: String,
}

impl Raw {
    fn text(&self, statement: &str) -> String {
        statement.replace("{t}", &format!("test.{}", self.prefix))
    }

    pub(crate) async fn run(&mut self, statement: &str) {
        let text = self.text(statement);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut self.sql).await.unwrap();
    }

    pub(crate) async fn number(&mut self, statement: &str) -> i64 {
        let text = self.text(statement);
        let row = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.sql).await.unwrap();
        row.get_unchecked(0)
    }

    pub(crate) async fn texts(&mut self, statement: &str) -> Vec<String> {
        let text = self.text(statement);
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.sql).await.unwrap();
        rows.iter().map(|row| row.get_unchecked(0)).collect()
    }
}

/// Ends every session of ours: those with a database.
pub(crate) async fn end_sessions(rig: &Rig) {
    let mut raw = rig.raw().await;
    let ours = "SELECT id FROM information_schema.processlist WHERE db = 'test'";
    let rows = sqlx::query(ours).fetch_all(&mut raw.sql).await.unwrap();
    for row in rows {
        let session: i64 = row.get_unchecked(0);
        // It may have ended meanwhile.
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("KILL {session}"))).execute(&mut raw.sql).await;
    }
}

/// A waiting worker is given what others store.
pub(crate) async fn is_woken(rig: &Rig, worker: &Arc<MysqlBroker>) {
    let client = rig.open().await;
    let worker = worker.clone();
    let waiting =
        tokio::spawn(
            async move { worker.reserve(&request(1, Duration::from_secs(30))).await.unwrap() },
        );
    let batch = jobs(1);
    store(&client, &batch).await;
    let taken = in_time(waiting).await.unwrap();
    assert_eq!(taken[0].job, batch[0].id);
}

/// What a user reads who opens this store.
pub(crate) async fn refusal(options: MysqlOptions) -> String {
    match MysqlBroker::open(options).await {
        Err(ConnectError::Broker(error)) => error_chain(&error),
        Err(error) => error.to_string(),
        Ok(_) => panic!("the store was opened"),
    }
}

/// Asks again and again until it holds; a panic if it does not in time.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, asked).await.is_ok(), "in {LIMIT:?} not: {what}");
}

/// What a call answers that must not hang.
pub(crate) async fn in_time<T>(call: impl Future<Output = T>) -> T {
    timeout(LIMIT, call).await.unwrap_or_else(|_| panic!("a call hangs for {LIMIT:?}"))
}

const LIMIT: Duration = Duration::from_secs(60);
