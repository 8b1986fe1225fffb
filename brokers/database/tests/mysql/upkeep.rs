//! What upkeep tidies on MariaDB alone.

use taskcore::broker::{Broker, Maintain};

use crate::rig::{Rig, jobs, store};

#[tokio::test]
async fn ranges_of_numbers_are_not_given_again_although_their_rows_go() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    for _ in 0..10 {
        store(&broker, &jobs(1)).await;
    }
    let mut raw = rig.raw().await;
    assert!(raw.number("SELECT count(*) FROM {t}batch").await >= 10);
    broker.maintain(&Maintain::default()).await.unwrap();
    assert_eq!(raw.number("SELECT count(*) FROM {t}batch").await, 0);
    let last = raw.number("SELECT max(seq) FROM {t}job").await;
    store(&broker, &jobs(1)).await;
    assert!(raw.number("SELECT max(seq) FROM {t}job").await > last);
}
