//! Waking who waits, in other processes.

use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use taskbroker_database::postgres::PostgresBroker;
use taskcore::broker::{Broker, ResultStore};

use crate::rig::{Rig, done, in_time, job, jobs, listening, median_latency, store, take};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_process_starts_sooner_than_polling_could_find_it() {
    let rig = Rig::shared();
    let (worker, client) = (rig.open().await, rig.open().await);
    listening(&worker).await;
    let median = median_latency(&rig, &worker, &client, 11).await;
    // Who listens looks by itself only after 800 ms.
    assert!(median < Duration::from_millis(100), "{median:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_listening_a_worker_polls_at_most_250_ms_apart() {
    let rig = Rig::shared();
    let worker = PostgresBroker::open(rig.options().polling()).await.unwrap();
    let client = rig.open().await;
    let median = median_latency(&rig, &worker, &client, 3).await;
    assert!(median <= Duration::from_millis(400), "{median:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_of_another_process_wakes_a_waiting_handle() {
    let rig = Rig::shared();
    let (client, worker) = (rig.open().await, rig.open().await);
    listening(&client).await;
    let job = job();
    store(&client, std::slice::from_ref(&job)).await;
    let cursor = client.finished(None, Duration::ZERO).await.unwrap().next;
    let wait = tokio::spawn({
        let client = client.clone();
        async move { client.finished(Some(cursor), Duration::from_secs(20)).await.unwrap() }
    });
    let deliveries = take(&worker, 1).await;
    worker.settle(&[done(&deliveries[0])]).await.unwrap();
    let finished = in_time(wait).await.unwrap();
    assert_eq!(finished.ids, [job.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_commits_is_told_at_most_once_in_5_ms() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let mut listener = PgListener::connect(&rig.url).await.unwrap();
    listener.listen(&format!("hereafter:{}", rig.schema)).await.unwrap();
    let started = Instant::now();
    for job in jobs(1000) {
        store(&broker, &[job]).await;
    }
    let took = started.elapsed();
    broker.close().await.unwrap();
    // Told behind all others, so that those have arrived before it.
    let mut raw = rig.raw().await;
    raw.run(&format!("NOTIFY \"hereafter:{}\", 'last'", rig.schema)).await;
    let mut told = 0;
    while in_time(listener.recv()).await.unwrap().payload() != "last" {
        told += 1;
    }
    let most = took.as_millis() / 5 + 2;
    assert!(told > 0 && told <= most, "{told} in {took:?}, for 1,000 commits");
}
