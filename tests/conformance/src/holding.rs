//! Jobs with unique keys, for the cases about them.

use taskcore::JobId;
use taskcore::broker::{BrokerError, Enqueued, NewJob, OnConflict, Unique, UniqueScope};

use crate::harness::Harness;
use crate::lab::*;

impl<'h> Lab<'h> {
    /// A lab for a case about unique keys; `None` where there are none. Such a broker must say
    /// so.
    pub(crate) async fn with_keys(harness: &'h dyn Harness) -> Option<Self> {
        let lab = Self::open(harness).await;
        if lab.broker().capabilities().unique {
            return Some(lab);
        }
        let answer = lab.broker().enqueue(&[plain_job(), holding("key")]).await;
        assert!(matches!(answer, Err(BrokerError::Unsupported { .. })), "{answer:?}");
        lab.reserve_all(0).await;
        None
    }

    pub(crate) async fn enqueue(&self, jobs: &[NewJob]) -> Vec<Enqueued> {
        let answers = self.broker().enqueue(jobs).await.unwrap();
        assert_eq!(answers.len(), jobs.len());
        answers
    }

    /// Stores, for each key, a job that holds it until it is final.
    pub(crate) async fn store_holding(&self, keys: &[String]) -> Vec<JobId> {
        let jobs: Vec<_> = keys.iter().map(|key| holding(key)).collect();
        self.store(&jobs).await;
        ids_of(&jobs)
    }

    /// Checks that these jobs hold these keys, and that what wants one is not stored.
    pub(crate) async fn assert_held(&self, keys: &[String], by: &[JobId]) {
        let jobs: Vec<_> = keys.iter().map(|key| holding(key)).collect();
        let expected: Vec<_> = by.iter().map(|id| Enqueued::Conflict(*id)).collect();
        assert_eq!(self.enqueue(&jobs).await, expected);
        assert_eq!(self.states(&ids_of(&jobs)).await, vec![None; jobs.len()]);
    }

    /// Checks that these keys are free, and leaves them so.
    pub(crate) async fn assert_free(&self, keys: &[String]) {
        let jobs = self.store_holding(keys).await;
        self.cancel(&jobs).await;
    }
}

/// As many keys as asked.
pub(crate) fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key {number}")).collect()
}

/// A plain job that holds a key until it is final.
pub(crate) fn holding(key: &str) -> NewJob {
    holding_for(key, UniqueScope::Unfinished)
}

pub(crate) fn holding_for(key: &str, scope: UniqueScope) -> NewJob {
    let unique = Unique { key: key.to_owned(), scope, on_conflict: OnConflict::Fail };
    NewJob { unique: Some(unique), ..plain_job() }
}

/// A plain job that takes the place of a holder.
pub(crate) fn replacing(key: &str) -> NewJob {
    on_conflict(holding(key), OnConflict::Replace)
}

pub(crate) fn on_conflict(mut job: NewJob, on_conflict: OnConflict) -> NewJob {
    job.unique = job.unique.map(|unique| Unique { on_conflict, ..unique });
    job
}

/// These jobs, stored together or not at all.
pub(crate) fn together(mut jobs: Vec<NewJob>) -> Vec<NewJob> {
    let count = jobs.len();
    jobs.iter_mut().take(count - 1).for_each(|job| job.with_next = true);
    jobs
}
