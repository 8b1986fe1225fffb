//! What upkeep tidies on a server, and that one does it at a time.

use std::time::Duration;

use taskbroker_database::postgres::PostgresBroker;
use taskcore::broker::{Broker, Due, History, Maintain, NewJob, Upkeep};

use crate::rig::{Rig, done, in_time, job, jobs, store, take, until};

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
    assert!(raw.number("SELECT count(*) FROM {s}.sum").await >= 17);
    let before = broker.stats().await.unwrap();
    assert_eq!((before[0].stored, before[0].done), (30, 7));
    broker.maintain(&Maintain::default()).await.unwrap();
    assert_eq!(raw.number("SELECT count(*) FROM {s}.sum").await, 0);
    assert_eq!(broker.stats().await.unwrap(), before);
}

#[tokio::test]
async fn old_events_are_deleted_though_nobody_reads_them() {
    let rig = Rig::shared();
    let broker = PostgresBroker::open(rig.options().events(50)).await.unwrap();
    for _ in 0..40 {
        store(&broker, &jobs(5)).await;
    }
    let mut raw = rig.raw().await;
    assert_eq!(raw.number("SELECT sum(count)::bigint FROM {s}.event").await, 200);
    broker.maintain(&Maintain::default()).await.unwrap();
    assert_eq!(raw.number("SELECT sum(count)::bigint FROM {s}.event").await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_do_the_upkeep_at_once_one_works() {
    let rig = Rig::shared();
    let (one, other) = (rig.open().await, rig.open().await);
    let due = Due::After(Duration::from_millis(1));
    store(&one, &[NewJob { due, ..job() }]).await;
    let mut raw = rig.raw().await;
    raw.run("BEGIN; LOCK TABLE {s}.scheduled IN ACCESS EXCLUSIVE MODE").await;
    let first = tokio::spawn(async move { one.maintain(&Maintain::default()).await.unwrap() });
    let waits = "SELECT count(*) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND query LIKE '%{s}.scheduled%'";
    let mut watch = rig.raw().await;
    until("the first waits in the midst of it", async || watch.number(waits).await == 1).await;
    let second = in_time(other.maintain(&Maintain::default())).await.unwrap();
    assert_eq!(second, Upkeep::default());
    assert!(!first.is_finished());
    raw.run("ROLLBACK").await;
    assert_eq!(in_time(first).await.unwrap().promoted, 1);
}
