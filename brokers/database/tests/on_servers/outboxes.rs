//! What is in the outbox of a store on a server, and what goes from it without being sent.

use taskcore::broker::{NewJob, Outbox};

use crate::rig::{Rig, job, jobs, store, take};
use crate::words::{maintain, unsent};

const ENTRIES: &str = "SELECT count(*) FROM {t}outbox";

#[tokio::test]
async fn a_store_that_carries_its_jobs_itself_enters_none() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    store(&broker, &jobs(20)).await;
    assert_eq!(rig.raw().await.number(ENTRIES).await, 0);
}

#[tokio::test]
async fn entries_of_jobs_that_were_reserved_are_tidied_away_behind_those_that_stay() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    broker.open_outbox().await.unwrap();
    let queue = taskcore::QueueName::new("kept").unwrap();
    let kept: Vec<NewJob> = (0..20).map(|_| NewJob { queue: queue.clone(), ..job() }).collect();
    store(&broker, &kept).await;
    store(&broker, &jobs(10)).await;
    assert_eq!(take(&broker, 10).await.len(), 10);
    let mut raw = rig.raw().await;
    assert_eq!(raw.number(ENTRIES).await, 30);
    maintain(&broker, 6).await;
    assert_eq!(raw.number(ENTRIES).await, 20);
}

#[tokio::test]
async fn entries_that_somebody_holds_are_left_to_him() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    broker.open_outbox().await.unwrap();
    store(&broker, &jobs(5)).await;
    let entries = unsent(&broker, 5).await;
    assert_eq!(take(&broker, 5).await.len(), 5);
    maintain(&broker, 3).await;
    let mut raw = rig.raw().await;
    assert_eq!(raw.number(ENTRIES).await, 5);
    broker.sent(&entries).await.unwrap();
    assert_eq!(raw.number(ENTRIES).await, 0);
}
