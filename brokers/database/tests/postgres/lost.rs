//! Connections that are lost come back by themselves, on the same broker.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taskbroker_database::postgres::PostgresBroker;
use taskcore::QueueName;
use taskcore::broker::{Broker, BrokerError, NewJob};
use taskservers::Postgres;
use tokio::time::timeout;

use crate::rig::{
    Rig, done, in_time, job, jobs, listening, median_latency, settle, store, take, until,
};

const END_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// Polling alone cannot meet it: who listens looks by itself only after 800 ms.
const BY_NOTIFICATION: Duration = Duration::from_millis(200);

/// Every call succeeds in a while, without help.
async fn comes_back(broker: &PostgresBroker) {
    let job = job();
    until("a job is stored", async || {
        in_time(broker.enqueue(std::slice::from_ref(&job))).await.is_ok()
    })
    .await;
    until("the queue is counted", async || {
        in_time(broker.depth(&[QueueName::DEFAULT])).await.is_ok()
    })
    .await;
    let deliveries = take(broker, 10).await;
    assert_eq!(deliveries.iter().filter(|delivery| delivery.job == job.id).count(), 1);
    for delivery in &deliveries {
        settle(broker, done(delivery)).await;
    }
}

async fn is_woken_by_notification(rig: &Rig, worker: &Arc<PostgresBroker>) {
    listening(worker).await;
    let client = rig.open().await;
    let median = median_latency(rig, worker, &client, 5).await;
    assert!(median < BY_NOTIFICATION, "{median:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_server_jobs_and_wake_ups_come_again() {
    let mut server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    server.restart();
    comes_back(&broker).await;
    is_woken_by_notification(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_of_the_server_what_was_stored_is_there() {
    let mut server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    server.kill();
    let error = in_time(broker.enqueue(&jobs(1))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error:?}");
    server.start_again();
    comes_back(&broker).await;
    is_woken_by_notification(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_ended_are_not_noticed_by_callers() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    for _ in 0..5 {
        store(&broker, &jobs(1)).await;
        let deliveries = take(&broker, 1).await;
        server.psql(END_ALL);
        settle(&broker, done(&deliveries[0])).await;
        server.psql(END_ALL);
        broker.depth(&[QueueName::DEFAULT]).await.unwrap();
    }
    is_woken_by_notification(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_server_that_stands_still_and_succeed_when_it_goes_on() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    assert_eq!(take(&broker, 1).await.len(), 1);
    let batch = jobs(1);
    server.freeze();
    {
        let mut calls = std::pin::pin!(futures::future::join(
            broker.enqueue(&batch),
            broker.depth(&[QueueName::DEFAULT])
        ));
        let pending = timeout(Duration::from_millis(300), &mut calls).await;
        server.thaw();
        assert!(pending.is_err(), "a server that stands still has answered");
        let (stored, depth) = in_time(calls).await;
        assert!(stored.is_ok() && depth.is_ok(), "{stored:?} {depth:?}");
    }
    comes_back(&broker).await;
    is_woken_by_notification(&rig, &broker).await;
}

/// Stores one job, again and again with its id while the answer is lost; how often it was lost.
async fn store_stubbornly(broker: &PostgresBroker, job: &NewJob) -> usize {
    let mut failed = 0;
    while in_time(broker.enqueue(std::slice::from_ref(job))).await.is_err() {
        failed += 1;
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_answer_was_lost_is_stored_once() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    let all = jobs(40);
    let storing = tokio::spawn({
        let (broker, all) = (broker.clone(), all.clone());
        async move {
            let mut failed = 0;
            for job in &all {
                failed += store_stubbornly(&broker, job).await;
            }
            failed
        }
    });
    let mut raw = rig.raw().await;
    let end_ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name = 'hereafter'";
    let mut stored = 0;
    while !storing.is_finished() {
        // Whenever one more is there, so that it goes on although all its sessions are ended.
        let count = raw.number("SELECT count(*) FROM {s}.job").await;
        if count > stored {
            stored = count;
            raw.number(end_ours).await;
        }
    }
    let failed = storing.await.unwrap();
    assert!(failed > 0, "no answer was lost, so nothing was shown");
    let mut taken = HashSet::new();
    loop {
        let deliveries = take(&broker, 100).await;
        if deliveries.is_empty() {
            break;
        }
        for delivery in deliveries {
            assert!(taken.insert(delivery.job), "handed out twice");
        }
    }
    assert_eq!(taken, all.iter().map(|job| job.id).collect());
}
