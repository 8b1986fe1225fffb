//! Jobs that another broker carries, for the cases about it.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{Claim, Claimed, Delivery, Outgoing};

use crate::harness::Harness;
use crate::lab::*;

impl<'h> Lab<'h> {
    /// A lab with an open outbox.
    pub(crate) async fn with_outbox(harness: &'h dyn Harness) -> Self {
        let lab = Self::open(harness).await;
        lab.open_outbox().await;
        lab
    }

    pub(crate) async fn open_outbox(&self) {
        self.outbox().open_outbox().await.unwrap();
    }

    /// Takes entries for two ticks, without a wait.
    pub(crate) async fn unsent(&self, max: usize) -> Vec<Outgoing> {
        self.outbox().unsent(count(max), self.ticks(2), Duration::ZERO).await.unwrap()
    }

    /// Takes all entries and says that they were sent; answers their jobs.
    pub(crate) async fn send(&self) -> Vec<JobId> {
        let entries = self.unsent(10_000).await;
        self.sent(&entries).await;
        jobs_in(&entries)
    }

    pub(crate) async fn sent(&self, entries: &[Outgoing]) {
        self.outbox().sent(entries).await.unwrap();
    }

    /// Checks that these jobs wait to be sent, and no others, and sends them.
    pub(crate) async fn assert_entered(&self, jobs: &[JobId]) {
        assert_eq!(sorted(self.send().await), sorted(jobs.to_vec()), "what is entered");
    }

    /// Claims jobs for two ticks.
    pub(crate) async fn claim(&self, jobs: &[JobId]) -> Vec<Claimed> {
        let claim = Claim {
            jobs: jobs.to_vec(),
            lease: self.ticks(2),
            worker: "worker of the suite".to_owned(),
        };
        let answers = self.outbox().claim(&claim).await.unwrap();
        assert_eq!(answers.len(), jobs.len());
        answers
    }

    /// Claims jobs that are ready.
    pub(crate) async fn claim_all(&self, jobs: &[JobId]) -> Vec<Delivery> {
        let deliveries = leased_of(self.claim(jobs).await);
        assert_eq!(jobs_of(&deliveries), jobs, "what could be claimed");
        deliveries
    }

    /// Checks that none of these jobs can be claimed.
    pub(crate) async fn assert_not_ready(&self, jobs: &[JobId]) {
        let answers = self.claim(jobs).await;
        let is_so = answers.iter().all(|answer| matches!(answer, Claimed::NotReady));
        assert!(is_so, "{answers:?}");
    }
}

pub(crate) fn jobs_in(entries: &[Outgoing]) -> Vec<JobId> {
    entries.iter().map(|entry| entry.job).collect()
}

/// What was leased, in order.
pub(crate) fn leased_of(answers: Vec<Claimed>) -> Vec<Delivery> {
    let delivery = |answer| match answer {
        Claimed::Leased(delivery) => Some(*delivery),
        Claimed::NotReady | Claimed::Unknown => None,
    };
    answers.into_iter().filter_map(delivery).collect()
}
