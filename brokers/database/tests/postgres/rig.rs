//! A schema of its own, on the shared server or on one of its own.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskcore::broker::{ConnectError, Delivery, Operate};
use taskcore::error_chain;
use taskservers::Postgres;
pub(crate) use taskservers::Postgres as Server;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use crate::words::{done, job, jobs, request, settle, store, take};
use taskcore::broker::Broker;

/// The newest schema.
pub(crate) const SCHEMA: i64 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Rig {
    pub(crate) url: String,
    pub(crate) schema: String,
}

impl Rig {
    /// On the server that all tests share.
    pub(crate) fn shared() -> Self {
        let server = Postgres::shared();
        Self { url: server.url().to_owned(), schema: server.schema() }
    }

    /// On a server that the test has for itself.
    pub(crate) fn on(server: &Postgres) -> Self {
        Self { url: server.url(), schema: "jobs".to_owned() }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::parse(&self.url).unwrap().schema(&self.schema).unwrap()
    }

    pub(crate) async fn open(&self) -> Arc<PostgresBroker> {
        PostgresBroker::open(self.options()).await.unwrap()
    }

    /// A connection of somebody who does not know Hereafter.
    pub(crate) async fn raw(&self) -> Raw {
        let options: PgConnectOptions = self.url.parse().unwrap();
        Raw { sql: options.connect().await.unwrap(), schema: self.schema.clone() }
    }
}

impl Rig {
    /// What tells the store from others.
    pub(crate) fn name(&self) -> &str {
        &self.schema
    }

    /// Whether there is anything of it.
    pub(crate) async fn is_made(&self) -> bool {
        let schemas =
            format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", self.schema);
        self.raw().await.number(&schemas).await > 0
    }
}

/// The type of what is counted.
pub(crate) const INTEGER: &str = "bigint";

/// A connection of somebody else. In statements, `{s}` is the schema, and `{t}` what comes before the name
/// of a table.
pub(crate) struct Raw {
    pub(crate) sql: PgConnection,
    schema: String,
}

impl Raw {
    fn text(&self, statement: &str) -> String {
        let schema = format!("\"{}\"", self.schema);
        statement.replace("{t}", &format!("{schema}.")).replace("{s}", &schema)
    }

    pub(crate) async fn run(&mut self, statement: &str) {
        let text = self.text(statement);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut self.sql).await.unwrap();
    }

    pub(crate) async fn number(&mut self, statement: &str) -> i64 {
        let text = self.text(statement);
        sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.sql).await.unwrap().get(0)
    }

    pub(crate) async fn texts(&mut self, statement: &str) -> Vec<String> {
        let text = self.text(statement);
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.sql).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// What a user reads who opens this store.
pub(crate) async fn refusal(options: PostgresOptions) -> String {
    match PostgresBroker::open(options).await {
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

const LIMIT: Duration = Duration::from_secs(40);

/// What `doctor` says of something; or why it cannot.
pub(crate) async fn finding(broker: &PostgresBroker, subject: &str) -> String {
    match in_time(broker.check()).await {
        Ok(findings) => {
            let found = findings.into_iter().find(|finding| finding.subject == subject);
            found.map(|finding| finding.detail).expect("it is looked at")
        }
        Err(error) => error_chain(&error),
    }
}

/// Waits until commits of others are heard of.
pub(crate) async fn listening(broker: &PostgresBroker) {
    let mut last = String::new();
    let asked = async {
        while last != "by `LISTEN`" {
            sleep(Duration::from_millis(5)).await;
            last = finding(broker, "wake-ups").await;
        }
    };
    let listens = timeout(LIMIT, asked).await;
    assert!(listens.is_ok(), "{last}");
}

/// What a waiting worker got, and when.
pub(crate) struct Wakened {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) at: Instant,
}

/// A worker that waits: it has looked and found nothing.
pub(crate) async fn waiting(raw: &mut Raw, broker: &Arc<PostgresBroker>) -> JoinHandle<Wakened> {
    let looked = "SELECT coalesce(max(query_start), '-infinity')::text FROM pg_stat_activity
         WHERE (query LIKE '%{s}.scheduled%next_due_at%' OR query LIKE '%{s}.paused%asked.name%')
           AND state = 'idle' AND pid <> pg_backend_pid()";
    let before = raw.texts(looked).await;
    let worker = broker.clone();
    let task = tokio::spawn(async move {
        let deliveries = worker.reserve(&request(1, Duration::from_secs(20))).await.unwrap();
        Wakened { deliveries, at: Instant::now() }
    });
    until("the worker has looked", async || raw.texts(looked).await != before).await;
    task
}

/// Ends every session of ours.
pub(crate) async fn end_sessions(rig: &Rig) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name = 'hereafter'";
    rig.raw().await.number(end).await;
}

/// Polling alone cannot meet it: who listens looks by itself only after 800 ms.
const BY_NOTIFICATION: Duration = Duration::from_millis(200);

/// A waiting worker is woken by others.
pub(crate) async fn is_woken(rig: &Rig, worker: &Arc<PostgresBroker>) {
    listening(worker).await;
    let client = rig.open().await;
    let median = median_latency(rig, worker, &client, 5).await;
    assert!(median < BY_NOTIFICATION, "{median:?}");
}

/// How long after commits a waiting worker got the jobs: the median of some rounds.
pub(crate) async fn median_latency(
    rig: &Rig,
    worker: &Arc<PostgresBroker>,
    client: &PostgresBroker,
    rounds: usize,
) -> Duration {
    let mut raw = rig.raw().await;
    let mut latencies = Vec::new();
    for _ in 0..rounds {
        let task = waiting(&mut raw, worker).await;
        store(client, &jobs(1)).await;
        let committed = Instant::now();
        let wakened = in_time(task).await.unwrap();
        assert_eq!(wakened.deliveries.len(), 1);
        latencies.push(wakened.at.saturating_duration_since(committed));
    }
    latencies.sort_unstable();
    latencies[rounds / 2]
}
