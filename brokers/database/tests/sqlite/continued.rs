//! Recursions that are too deep for the suite.

use std::time::Duration;

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{
    Broker, CancelScope, Delivery, JobFilter, JobState, Keep, Lookup, Operate, ResultStore,
    Settlement, Verdict,
};
use taskcore::{Failure, JobId};

use crate::rig::{Rig, done, job, number, store, take};

const DEEP: usize = 10_000;

/// Each job goes on as the next one; the last is leased.
async fn recursion(broker: &SqliteBroker) -> (Vec<JobId>, Delivery) {
    let first = job();
    store(broker, std::slice::from_ref(&first)).await;
    let mut ids = vec![first.id];
    let mut running = take(broker, 1).await.remove(0);
    while ids.len() < DEEP {
        let next = job();
        let (by, keep) = (next.id, Keep::For(Duration::from_secs(60)));
        let verdict = Verdict::Continued { jobs: vec![next], by, keep };
        settle(broker, running, verdict).await;
        ids.push(by);
        running = take(broker, 1).await.remove(0);
    }
    (ids, running)
}

async fn settle(broker: &SqliteBroker, delivery: Delivery, verdict: Verdict) {
    let settlement = Settlement { job: delivery.job, receipt: delivery.receipt, verdict };
    broker.settle(&[settlement]).await.unwrap();
}

async fn assert_all(broker: &SqliteBroker, ids: &[JobId], state: JobState) {
    for lookup in broker.outcomes(ids).await.unwrap() {
        let found = match lookup {
            Lookup::Pending(state) => Some(state),
            Lookup::Final(outcome) => Some(outcome.state),
            Lookup::Unknown => None,
        };
        assert_eq!(found, Some(state));
    }
}

#[tokio::test]
async fn a_recursion_of_any_depth_fails_is_replayed_and_ends() {
    let broker = SqliteBroker::open(SqliteOptions::memory()).await.unwrap();
    let (ids, running) = recursion(&broker).await;
    let failure = Failure::lost(running.job, running.task.clone(), 1, 0);
    settle(&broker, running, Verdict::Failed { failure }).await;
    assert_all(&broker, &ids, JobState::Failed).await;
    let replayed = broker.replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed, ids[DEEP - 1..]);
    assert_all(&broker, &ids[..DEEP - 1], JobState::Blocked).await;
    let last = take(&broker, 2).await;
    broker.settle(&last.iter().map(done).collect::<Vec<_>>()).await.unwrap();
    assert_all(&broker, &ids, JobState::Done).await;
}

#[tokio::test]
async fn a_recursion_of_any_depth_is_cancelled_with_its_first_job() {
    let rig = Rig::new();
    let options = rig.options().synchronous(taskbroker_database::sqlite::Synchronous::Off);
    let broker = SqliteBroker::open(options).await.unwrap();
    let (ids, _) = recursion(&broker).await;
    broker.cancel(&ids[..1], CancelScope::WithInputs).await.unwrap();
    assert_all(&broker, &ids, JobState::Cancelled).await;
    let left = "SELECT (SELECT count(*) FROM hereafter_continued)
         + (SELECT count(*) FROM hereafter_blocked)";
    assert_eq!(number(&mut rig.raw().await, left).await, 0);
}
