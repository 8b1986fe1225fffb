//! A file in a folder of its own, and short words for what the tests do with it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{
    BrokerError, ConnectError, Delivery, NewItems, NewLine, Progress, Report, Reports, Settled,
};
use taskcore::{Payload, error_chain};
use tempfile::TempDir;

pub(crate) use crate::words::{done, job, jobs, request, settle, store, take};

/// The newest schema.
pub(crate) const SCHEMA: i64 = 7;

pub(crate) struct Rig {
    folder: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("tasks.db")
    }

    /// The names of the files that there are.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name();
        let mut names: Vec<_> = files.map(|file| name(file).into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::file(self.path())
    }

    pub(crate) async fn open(&self) -> Arc<SqliteBroker> {
        SqliteBroker::open(self.options()).await.unwrap()
    }

    /// What a user reads who opens this file.
    pub(crate) async fn refusal(&self) -> String {
        refusal(self.options()).await
    }

    /// A connection of somebody who does not know Hereafter.
    pub(crate) async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path()).create_if_missing(true);
        options.connect().await.unwrap()
    }
}

/// A store that keeps so many events.
pub(crate) async fn with_events(rig: &Rig, kept: u32) -> Arc<SqliteBroker> {
    SqliteBroker::open(rig.options().events(kept)).await.unwrap()
}

pub(crate) async fn refusal(options: SqliteOptions) -> String {
    match SqliteBroker::open(options).await {
        Err(ConnectError::Broker(error)) => error_chain(&error),
        Err(error) => error.to_string(),
        Ok(_) => panic!("the store was opened"),
    }
}

pub(crate) async fn run(sql: &mut SqliteConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(sql).await.unwrap();
}

pub(crate) async fn number(sql: &mut SqliteConnection, statement: &str) -> i64 {
    sqlx::query(AssertSqlSafe(statement)).fetch_one(sql).await.unwrap().get(0)
}

/// A report of items, with some progress and a line.
pub(crate) fn report(delivery: &Delivery, first: u64, items: Vec<Payload>) -> Report {
    Report {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        progress: Some(Progress { done: first, total: 0, message: "on".to_owned() }),
        log: vec![NewLine { age: Duration::ZERO, text: "a line".to_owned() }],
        items: Some(NewItems { first, items }),
    }
}

pub(crate) async fn say(broker: &SqliteBroker, report: Report) {
    assert_eq!(broker.report(&[report]).await.unwrap(), [Settled::Applied]);
}

/// The whole text of an error of a call.
pub(crate) fn text(error: &BrokerError) -> String {
    error_chain(error)
}

/// This test again, in a process of its own, with its file in the environment.
pub(crate) fn child(test: &str, path: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The file, if this process is such a child.
pub(crate) fn is_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

const CHILD: &str = "HEREAFTER_TEST_CHILD";
