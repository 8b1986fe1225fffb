//! What is in the outbox of a file, and what goes from it without being sent.

use taskbroker_database::sqlite::SqliteBroker;
use taskcore::broker::{NewJob, Outbox};

use crate::rig::{Rig, job, jobs, number, store, take};
use crate::words::{maintain, unsent};

const ENTRIES: &str = "SELECT count(*) FROM hereafter_outbox";

#[tokio::test]
async fn a_store_that_carries_its_jobs_itself_enters_none() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(20)).await;
    assert_eq!(number(&mut rig.raw().await, ENTRIES).await, 0);
}

#[tokio::test]
async fn entries_of_jobs_that_were_reserved_are_tidied_away_behind_those_that_stay() {
    let rig = Rig::new();
    let broker = rig.open().await;
    broker.open_outbox().await.unwrap();
    let queue = taskcore::QueueName::new("kept").unwrap();
    let kept: Vec<NewJob> = (0..20).map(|_| NewJob { queue: queue.clone(), ..job() }).collect();
    store(&broker, &kept).await;
    store(&broker, &jobs(10)).await;
    assert_eq!(take(&broker, 10).await.len(), 10);
    let mut raw = rig.raw().await;
    assert_eq!(number(&mut raw, ENTRIES).await, 30);
    maintain(&broker, 6).await;
    assert_eq!(number(&mut raw, ENTRIES).await, 20);
}

#[tokio::test]
async fn two_stores_in_one_file_have_outboxes_of_their_own() {
    let rig = Rig::new();
    let one = rig.open().await;
    let other = SqliteBroker::open(rig.options().prefix("other_").unwrap()).await.unwrap();
    other.open_outbox().await.unwrap();
    store(&one, &jobs(3)).await;
    let batch = jobs(2);
    store(&other, &batch).await;
    assert!(unsent(&one, 10).await.is_empty());
    let entries = unsent(&other, 10).await;
    assert_eq!(
        entries.iter().map(|entry| entry.job).collect::<Vec<_>>(),
        [batch[0].id, batch[1].id]
    );
    one.open_outbox().await.unwrap();
    assert_eq!(unsent(&one, 10).await.len(), 3);
}

#[tokio::test]
async fn more_jobs_than_a_statement_takes_are_entered_in_the_order_of_handing_out() {
    use taskcore::broker::{Broker, Settlement, Verdict};
    let rig = Rig::new();
    let broker = rig.open().await;
    let of = |level| NewJob { priority: taskcore::Priority::new(level).unwrap(), ..job() };
    let batch: Vec<_> =
        (0..1200_i32).map(|place| of(i8::try_from(place % 5 - 2).unwrap())).collect();
    store(&broker, &batch).await;
    let taken = take(&broker, 1200).await;
    broker.open_outbox().await.unwrap();
    let release = |delivery: &taskcore::broker::Delivery| Settlement {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        verdict: Verdict::Release,
    };
    // From the last one on.
    let releases: Vec<_> = taken.iter().rev().map(release).collect();
    broker.settle(&releases).await.unwrap();
    let entries = unsent(&broker, 2000).await;
    let expected: Vec<_> = taken.iter().map(|delivery| delivery.job).collect();
    assert_eq!(entries.iter().map(|entry| entry.job).collect::<Vec<_>>(), expected);
}
