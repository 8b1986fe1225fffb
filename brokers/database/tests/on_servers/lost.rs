//! Connections that are lost come back by themselves, on the same broker.

use std::collections::HashSet;
use std::time::Duration;

use taskbroker_database::DatabaseBroker;
use taskcore::QueueName;
use taskcore::broker::{Broker, BrokerError, NewJob};
use tokio::time::timeout;

use crate::rig::{
    Rig, Server, done, end_sessions, in_time, is_woken, job, jobs, settle, store, take, until,
};

/// Every call succeeds in a while, without help.
async fn comes_back(broker: &DatabaseBroker) {
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

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_server_jobs_and_wake_ups_come_again() {
    let mut server = Server::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    server.restart();
    comes_back(&broker).await;
    is_woken(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_of_the_server_what_was_stored_is_there() {
    let mut server = Server::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    server.kill();
    let error = in_time(broker.enqueue(&jobs(1))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error:?}");
    server.start_again();
    comes_back(&broker).await;
    is_woken(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_ended_are_not_noticed_by_callers() {
    let server = Server::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    for _ in 0..5 {
        store(&broker, &jobs(1)).await;
        let deliveries = take(&broker, 1).await;
        end_sessions(&rig).await;
        settle(&broker, done(&deliveries[0])).await;
        end_sessions(&rig).await;
        broker.depth(&[QueueName::DEFAULT]).await.unwrap();
    }
    is_woken(&rig, &broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_server_that_stands_still_and_succeed_when_it_goes_on() {
    let server = Server::start();
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
    is_woken(&rig, &broker).await;
}

/// Stores jobs, again and again with their ids while the answer is lost; how often it was lost.
async fn store_stubbornly(broker: &DatabaseBroker, batch: &[NewJob]) -> usize {
    let mut failed = 0;
    while in_time(broker.enqueue(batch)).await.is_err() {
        failed += 1;
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_answer_was_lost_is_stored_once() {
    let server = Server::start();
    let rig = Rig::on(&server);
    let broker = rig.open().await;
    // One job is one statement, which the broker repeats by itself; many are a transaction.
    let batches: Vec<_> = (0..60).map(|place| jobs([1, 250][place % 2])).collect();
    let storing = tokio::spawn({
        let (broker, batches) = (broker.clone(), batches.clone());
        async move {
            let mut failed = 0;
            for batch in &batches {
                failed += store_stubbornly(&broker, batch).await;
            }
            failed
        }
    });
    let mut raw = rig.raw().await;
    let mut stored = 0;
    while !storing.is_finished() {
        // Whenever one more is there, so that it goes on although all its sessions are ended.
        let count = raw.number("SELECT count(*) FROM {t}job").await;
        if count > stored {
            stored = count;
            end_sessions(&rig).await;
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
    assert_eq!(taken, batches.iter().flatten().map(|job| job.id).collect());
}
