//! How stores come to be on a server.

use std::sync::Arc;

use taskbroker_database::DatabaseBroker;

use crate::rig::{Rig, SCHEMA, jobs, refusal, store, take};

#[tokio::test]
async fn of_programs_that_start_together_one_migrates_and_all_work() {
    let rig = Rig::shared();
    let opened = futures::future::join_all((0..8).map(|_| rig.open())).await;
    for broker in &opened {
        store(broker, &jobs(3)).await;
    }
    let mut raw = rig.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM {t}job").await, 24);
    assert_eq!(raw.number("SELECT count(*) FROM {t}schema").await, SCHEMA);
}

#[tokio::test]
async fn who_only_looks_creates_nothing() {
    let rig = Rig::shared();
    let text = refusal(rig.options().existing()).await;
    assert!(text.contains("no tables of Hereafter") && text.contains(rig.name()), "{text}");
    assert!(!rig.is_made().await);
    rig.open().await;
    assert!(rig.is_made().await);
    DatabaseBroker::open(rig.options().existing()).await.unwrap();
}

#[tokio::test]
async fn two_stores_in_one_database_do_not_see_each_other_s_jobs() {
    let (one, other) = (Rig::shared(), Rig::shared());
    let (first, second): (Arc<_>, Arc<_>) = (one.open().await, other.open().await);
    store(&first, &jobs(3)).await;
    assert!(take(&second, 10).await.is_empty());
    store(&second, &jobs(2)).await;
    assert_eq!(take(&first, 10).await.len(), 3);
    assert_eq!(take(&second, 10).await.len(), 2);
}
