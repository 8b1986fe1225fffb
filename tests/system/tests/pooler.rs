//! Behind PgBouncer in transaction mode, as Debian has it.

use std::time::Duration;

use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker};
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskservers::{PgBouncer, Postgres};

#[register_task(name = "pooler::double", queue = "pooler")]
async fn double(n: u64) -> u64 {
    n * 2
}

#[register_task(name = "pooler::total", queue = "pooler")]
async fn total(parts: Vec<u64>) -> u64 {
    parts.iter().sum()
}

/// Fails the first time.
#[register_task(name = "pooler::unsteady", queue = "pooler", backoff = "fixed(1ms)")]
async fn unsteady(cx: Context) -> Result<u32, std::io::Error> {
    match cx.attempt() {
        1 => Err(std::io::Error::other("not yet")),
        attempt => Ok(attempt),
    }
}

/// A pooler before the server that tests share, and a store behind it.
struct Pooled {
    client: Client,
    _pooler: PgBouncer,
}

impl Pooled {
    async fn new() -> Self {
        let server = Postgres::shared();
        let pooler = PgBouncer::start(server.url());
        let url = format!("{}?pooler=transaction&schema={}", pooler.url(), server.schema());
        let options = PostgresOptions::parse(&url).unwrap();
        let broker = PostgresBroker::open(options).await.unwrap();
        Self { client: Client::new(broker.connection()), _pooler: pooler }
    }

    async fn drain(&self) {
        let tasks = [double(0).task(), total(vec![]).task(), unsteady().task()];
        let worker = Worker::builder(self.client.clone()).without_hooks().tasks(tasks).burst();
        worker.build().run(&Shutdown::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_stored_run_and_read() {
    let pooled = Pooled::new().await;
    let single = double(21).delay_on(&pooled.client).await.unwrap();
    let many = pooled.client.delay_all((0..500).map(double)).await.unwrap();
    pooled.drain().await;
    assert_eq!(single.await.unwrap(), 42);
    for (n, handle) in (0_u64..).zip(many) {
        assert_eq!(handle.await.unwrap(), n * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_in_ends_with_its_sum() {
    let pooled = Pooled::new().await;
    let sum = total(gather((0..100).map(double))).delay_on(&pooled.client).await.unwrap();
    pooled.drain().await;
    assert_eq!(sum.await.unwrap(), 9900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_attempt_is_repeated() {
    let pooled = Pooled::new().await;
    let job = unsteady().delay_on(&pooled.client).await.unwrap();
    // The second attempt may be due after the first drain.
    while !job.state().await.unwrap().is_some_and(JobState::is_final) {
        pooled.drain().await;
    }
    assert_eq!(job.await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_job_is_cancelled() {
    let pooled = Pooled::new().await;
    let job = double(1).delay_on(&pooled.client).await.unwrap();
    job.cancel().await.unwrap();
    pooled.drain().await;
    assert_eq!(job.state().await.unwrap(), Some(JobState::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_saying_so_it_is_refused() {
    let pooler = PgBouncer::start(Postgres::shared().url());
    let options = PostgresOptions::parse(&pooler.url()).unwrap();
    let opened = tokio::time::timeout(Duration::from_secs(30), PostgresBroker::open(options)).await;
    let error = opened.unwrap().unwrap_err().to_string();
    assert!(error.contains("pooler=transaction"), "{error}");
}
