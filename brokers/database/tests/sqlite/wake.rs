//! Waking who waits, across connections that know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{Broker, Delivery, ResultStore};

use crate::rig::{Rig, done, job, jobs, request, store, take};

/// A worker that waits, and how long after the commit it got the job.
async fn waiting(broker: Arc<SqliteBroker>) -> tokio::task::JoinHandle<Wakened> {
    let task = tokio::spawn(async move {
        let deliveries = broker.reserve(&request(1, Duration::from_secs(20))).await.unwrap();
        Wakened { deliveries, at: Instant::now() }
    });
    // Nothing tells from outside that it waits; the result is the same if it does not yet.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    task
}

struct Wakened {
    deliveries: Vec<Delivery>,
    at: Instant,
}

/// The shortest of some latencies: the machine may be busy, a missing wake-up is never fast.
async fn best_latency(options: impl Fn() -> SqliteOptions, rounds: u32) -> Duration {
    let worker = SqliteBroker::open(options()).await.unwrap();
    let client = SqliteBroker::open(options()).await.unwrap();
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let task = waiting(worker.clone()).await;
        store(&client, &jobs(1)).await;
        let committed = Instant::now();
        let wakened = task.await.unwrap();
        assert_eq!(wakened.deliveries.len(), 1);
        best = best.min(wakened.at.saturating_duration_since(committed));
    }
    best
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_connection_wakes_a_waiting_worker_within_10_ms() {
    let rig = Rig::new();
    let best = best_latency(|| rig.options(), 10).await;
    assert!(best < Duration::from_millis(10), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watcher_a_worker_polls_at_most_250_ms_apart() {
    let rig = Rig::new();
    let best = best_latency(|| rig.options().polling(), 3).await;
    assert!(best <= Duration::from_millis(300), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_of_another_connection_wakes_a_waiting_handle() {
    let rig = Rig::new();
    let (client, worker) = (rig.open().await, rig.open().await);
    let job = job();
    store(&client, std::slice::from_ref(&job)).await;
    let cursor = client.finished(None, Duration::ZERO).await.unwrap().next;
    let wait = tokio::spawn({
        let client = client.clone();
        async move { client.finished(Some(cursor), Duration::from_secs(20)).await.unwrap() }
    });
    let deliveries = take(&worker, 1).await;
    let started = Instant::now();
    worker.settle(&[done(&deliveries[0])]).await.unwrap();
    let finished = wait.await.unwrap();
    assert_eq!(finished.ids, [job.id]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_writes_nothing() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    let held = take(&broker, 1).await;
    let log = rig.path().with_file_name("tasks.db-wal");
    let before = std::fs::metadata(&log).unwrap().modified().unwrap();
    // Long enough for a look without a ring.
    let deliveries = broker.reserve(&request(1, Duration::from_millis(1500))).await.unwrap();
    assert!(deliveries.is_empty());
    broker.maintain(&taskcore::broker::Maintain::default()).await.unwrap();
    assert_eq!(std::fs::metadata(&log).unwrap().modified().unwrap(), before);
    drop(held);
}
