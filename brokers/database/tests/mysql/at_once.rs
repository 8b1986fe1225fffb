//! A few jobs are stored in one way there and back.

use std::time::Duration;

use taskcore::broker::{Broker, Due, Enqueued};

use crate::rig::{Rig, jobs, store};

/// A transaction that follows a failed attempt takes a second number.
#[tokio::test]
async fn each_batch_takes_one_number() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    for size in [1, 64, 200] {
        let mut batch = jobs(size);
        batch[0].due = Due::After(Duration::from_secs(3600));
        batch[size - 1].expires_in = Some(Duration::from_secs(3600));
        store(&broker, &batch).await;
    }
    let numbers = rig.raw().await.texts(NUMBERS).await;
    assert_eq!(numbers, ["1", "2", "3"]);
    broker.close().await.unwrap();
}

/// So that the test above can fail.
#[tokio::test]
async fn a_batch_with_a_job_that_is_there_takes_a_second_one() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let batch = jobs(2);
    store(&broker, &batch[..1]).await;
    let answers = broker.enqueue(&batch).await.unwrap();
    assert_eq!(answers, [Enqueued::Duplicate, Enqueued::Stored]);
    store(&broker, &jobs(1)).await;
    let numbers = rig.raw().await.texts(NUMBERS).await;
    assert!(numbers.len() == 3 && numbers != ["1", "2", "3"], "{numbers:?}");
    broker.close().await.unwrap();
}

const NUMBERS: &str = "SELECT CAST(number AS CHAR)
    FROM (SELECT DISTINCT seq DIV 1048576 AS number FROM {t}job) AS numbers ORDER BY number";
