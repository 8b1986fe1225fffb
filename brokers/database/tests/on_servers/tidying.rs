//! What upkeep tidies on a server.

use taskbroker_database::DatabaseBroker;
use taskcore::broker::{Broker, History, Maintain};

use crate::rig::{Rig, done, jobs, store, take};

#[tokio::test]
async fn sums_are_folded_and_stay_what_they_were() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    for _ in 0..10 {
        store(&broker, &jobs(3)).await;
    }
    for delivery in take(&broker, 7).await {
        broker.settle(&[done(&delivery)]).await.unwrap();
    }
    let mut raw = rig.raw().await;
    assert!(raw.number("SELECT count(*) FROM {t}sum").await >= 17);
    let before = broker.stats().await.unwrap();
    assert_eq!((before[0].stored, before[0].done), (30, 7));
    broker.maintain(&Maintain::default()).await.unwrap();
    assert_eq!(raw.number("SELECT count(*) FROM {t}sum").await, 0);
    assert_eq!(broker.stats().await.unwrap(), before);
}

#[tokio::test]
async fn old_events_are_deleted_though_nobody_reads_them() {
    let rig = Rig::shared();
    let broker = DatabaseBroker::open(rig.options().events(50)).await.unwrap();
    for _ in 0..40 {
        store(&broker, &jobs(5)).await;
    }
    let mut raw = rig.raw().await;
    let sum = format!("SELECT CAST(sum(count) AS {}) FROM {{t}}event", crate::rig::INTEGER);
    assert_eq!(raw.number(&sum).await, 200);
    broker.maintain(&Maintain::default()).await.unwrap();
    assert_eq!(raw.number(&sum).await, 50);
}
