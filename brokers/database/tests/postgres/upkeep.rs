//! One does the upkeep at a time.

use std::time::Duration;

use taskcore::broker::{Broker, Due, Maintain, NewJob, Upkeep};

use crate::rig::{Rig, in_time, job, store, until};

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
