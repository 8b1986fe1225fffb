//! A job that takes three times as long as RabbitMQ waits for an acknowledgement, among 100 short
//! ones.
//!
//! The server waits 10 s; `HEREAFTER_TEST_CONSUMER_TIMEOUT` is another number of seconds.

use std::time::Duration;

use futures::future::try_join_all;
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker, WorkerError};
use hereafter::{Handle, JobError};
use taskservers::RabbitMq;
use tasksystem::{Journal, on_stores};

/// Writes down that it runs, and takes so long.
#[register_task(name = "long::take", retries = 0)]
async fn take(State(journal): State<Journal>, id: u64, ms: u64) -> u64 {
    journal.write(id);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    id
}

#[register_task(name = "long::may_take_an_hour", timeout = "1h")]
async fn may_take_an_hour() {}

/// How long the server waits.
fn patience() -> Duration {
    let seconds = std::env::var("HEREAFTER_TEST_CONSUMER_TIMEOUT");
    let seconds = seconds.map_or(10, |it| it.parse().expect("it is a number of seconds"));
    Duration::from_secs(seconds)
}

fn server() -> RabbitMq {
    RabbitMq::start_with(&[("consumer_timeout", &patience().as_millis().to_string())])
}

/// Where it is, for a client that knows how long it waits.
fn url(server: &RabbitMq) -> String {
    format!("{}?consumer_timeout={}s", server.url(), patience().as_secs())
}

/// Two workers, so that there is one to whom a job could come that the other one has.
async fn with_two_workers(client: &Client, test: impl AsyncFnOnce(&Journal)) {
    let (journal, shutdown) = (Journal::new(), Shutdown::new());
    let run = async || {
        let worker = Worker::builder(client.clone()).without_hooks().provide(journal.clone());
        worker.tasks([take(0, 0).task()]).build().run(&shutdown).await.unwrap();
    };
    tokio::join!(run(), run(), async {
        test(&journal).await;
        shutdown.request();
    });
}

/// The long one, and the short ones.
async fn store(client: &Client) -> (Handle<u64>, Vec<Handle<u64>>) {
    let long = u64::try_from(patience().as_millis() * 3).unwrap();
    let long = take(1_000, long).delay_on(client).await.unwrap();
    let short = (0..100).map(|id| take(id, 50).delay_on(client));
    (long, try_join_all(short).await.unwrap())
}

fn assert_each_ran_once(journal: &Journal) {
    let mut ran: Vec<u64> = journal.lines().iter().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..100).chain([1_000]).collect::<Vec<_>>());
}

on_stores! {
    [rabbitmq_with_sqlite rabbitmq_with_postgres];

    async fn a_store_lets_a_job_run_longer_than_the_server_waits_and_nothing_runs_twice(
        store: Store,
    ) {
        let server = server();
        let store = store.at(&url(&server));
        let client = store.client().await;
        with_two_workers(&client, async |journal| {
            let (long, short) = self::store(&client).await;
            try_join_all(short).await.unwrap();
            assert_eq!(long.await, Ok(1_000));
            assert_each_ran_once(journal);
        })
        .await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_it_ends_in_time_with_the_remedy_and_nothing_runs_twice() {
    let server = server();
    let client = Client::open(url(&server)).await.unwrap();
    with_two_workers(&client, async |journal| {
        let (long, short) = store(&client).await;
        try_join_all(short).await.unwrap();
        let error = long.await.unwrap_err();
        assert!(matches!(error, JobError::TimedOut(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("as long as amqp lets a job run here"), "{text}");
        assert!(text.contains("add a result store"), "{text}");
        // Longer than the server would wait.
        tokio::time::sleep(patience() / 5).await;
        assert_each_ran_once(journal);
    })
    .await;
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_a_task_that_may_take_longer_is_refused_at_the_start() {
    let server = RabbitMq::shared();
    let client = Client::open(server.url()).await.unwrap();
    let worker = Worker::builder(client.clone()).tasks([may_take_an_hour().task()]).build();
    let error = worker.run(&Shutdown::new()).await.unwrap_err();
    assert!(matches!(error, WorkerError::LongTask { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`long::may_take_an_hour` has a time-out of 1h"), "{text}");
    assert!(text.contains("add a result store"), "{text}");
    client.close().await.unwrap();
}
