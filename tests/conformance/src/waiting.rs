//! Jobs that wait for other jobs, for the cases about them.

use std::time::Duration;

use taskcore::broker::{
    BrokerError, CancelOutcome, CancelScope, Delivery, Input, JobFilter, JobState, Keep, Lookup,
    NewJob, Outcome, Settled, Settlement, Verdict,
};
use taskcore::{Failure, FailureKind, JobError, JobId};

use crate::harness::Harness;
use crate::lab::*;

impl<'h> Lab<'h> {
    /// A lab for a case about inputs; `None` where results are not kept with the verdict, as
    /// such a broker has nothing to give to a job that waits. It must say so.
    pub(crate) async fn with_inputs(harness: &'h dyn Harness) -> Option<Self> {
        let lab = Self::open(harness).await;
        if lab.broker().capabilities().results {
            return Some(lab);
        }
        let batch = [plain_job(), waiting([needs(JobId::new())])];
        let answer = lab.broker().enqueue(&batch).await;
        assert!(matches!(answer, Err(BrokerError::Unsupported { .. })), "{answer:?}");
        lab.reserve_all(0).await;
        None
    }

    /// Stores one job.
    pub(crate) async fn store_one(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.store(&[job]).await;
        id
    }

    /// Stores, for each of these jobs, one that needs it.
    pub(crate) async fn store_after_each(&self, inputs: &[JobId]) -> Vec<JobId> {
        let jobs: Vec<_> = inputs.iter().map(|input| waiting([needs(*input)])).collect();
        self.store(&jobs).await;
        ids_of(&jobs)
    }

    /// Stores `count` plain jobs and makes them fail.
    pub(crate) async fn failing(&self, count: usize) -> Vec<JobId> {
        let deliveries = self.leased(count).await;
        self.apply(&deliveries, &failed()).await;
        jobs_of(&deliveries)
    }

    /// Leases these jobs, which are all that there are.
    pub(crate) async fn reserve_these(&self, ids: &[JobId]) -> Vec<Delivery> {
        let deliveries = self.reserve_all(ids.len()).await;
        assert_eq!(sorted(jobs_of(&deliveries)), sorted(ids.to_vec()));
        deliveries
    }

    /// Runs these jobs, which are all that can run.
    pub(crate) async fn run_these(&self, ids: &[JobId]) {
        let deliveries = self.reserve_these(ids).await;
        self.apply(&deliveries, &done()).await;
    }

    pub(crate) async fn cancel_alone(&self, ids: &[JobId]) -> Vec<CancelOutcome> {
        self.operate().cancel(ids, CancelScope::JobsAlone).await.unwrap()
    }

    pub(crate) async fn replay(&self, ids: &[JobId]) -> Vec<JobId> {
        self.operate().replay(&these(ids)).await.unwrap()
    }

    pub(crate) async fn purge(&self, ids: &[JobId]) {
        let purged = self.operate().purge(&these(ids)).await.unwrap();
        assert_eq!(purged, ids.len() as u64);
    }

    pub(crate) async fn waits_for(&self, id: JobId) -> u32 {
        self.records(&[id]).await[0].waits_for
    }

    /// How jobs ended that have.
    pub(crate) async fn ends(&self, ids: &[JobId]) -> Vec<Outcome> {
        let outcome = |lookup| match lookup {
            Lookup::Final(outcome) => *outcome,
            other => panic!("{other:?} is not final"),
        };
        self.outcomes(ids).await.into_iter().map(outcome).collect()
    }

    /// Why a job that ended has no result.
    pub(crate) async fn error_of(&self, id: JobId) -> JobError {
        self.ends(&[id]).await[0].error().expect("it ended otherwise than as done")
    }

    /// Checks that a job failed because of an input, and that this is all that happened to it.
    pub(crate) async fn assert_failed_by(&self, id: JobId, input: &JobError) {
        let end = self.ends(&[id]).await.remove(0);
        let failure = Failure::of_input(id, "suite::plain".to_owned(), input);
        assert_eq!((end.state, end.failure), (JobState::Failed, Some(failure.clone())));
        assert_eq!(failure.kind, FailureKind::Input);
        let record = self.records(&[id]).await.remove(0);
        assert_eq!((record.failures, record.losses, record.waits_for), (0, 0, 0));
        assert_eq!((record.started_at, record.failure), (None, Some(failure)));
        assert_eq!(record.finished_at, Some(end.finished_at));
        assert_eq!(record.envelope, envelope_of(id), "a failed job may be revived");
    }

    /// Each of these goes on as a new job; answers which.
    pub(crate) async fn continue_each(&self, deliveries: &[Delivery]) -> Vec<JobId> {
        let next = plain_jobs(deliveries.len());
        let answers = self.settle_each(deliveries, &each_by(&next)).await;
        assert_eq!(answers, applied(deliveries.len()));
        ids_of(&next)
    }

    /// Settles each delivery with a verdict of its own.
    pub(crate) async fn settle_each(
        &self,
        deliveries: &[Delivery],
        verdicts: &[Verdict],
    ) -> Vec<Settled> {
        let settlement = |(delivery, verdict): (&Delivery, &Verdict)| Settlement {
            job: delivery.job,
            receipt: delivery.receipt.clone(),
            verdict: verdict.clone(),
        };
        let batch: Vec<_> = deliveries.iter().zip(verdicts).map(settlement).collect();
        self.broker().settle(&batch).await.unwrap()
    }

    /// Checks that a job failed in an attempt, because of a job that was to continue it.
    pub(crate) async fn assert_ended_by(&self, id: JobId, attempt: u32, by: &JobError) {
        let end = self.ends(&[id]).await.remove(0);
        let task = "suite::plain".to_owned();
        let failure = Failure::of_continuation(id, task, attempt, by);
        assert_eq!((end.state, end.failure), (JobState::Failed, Some(failure.clone())));
        let record = self.records(&[id]).await.remove(0);
        assert_eq!((record.failures, record.waits_for), (attempt - 1, 0));
        assert_eq!(record.failure, Some(failure));
        assert!(record.started_at.is_some());
    }
}

/// A job that waits for others.
pub(crate) fn waiting(inputs: impl IntoIterator<Item = Input>) -> NewJob {
    NewJob { inputs: inputs.into_iter().collect(), ..plain_job() }
}

/// `count` jobs of which each needs the one before, and the first the one given.
pub(crate) fn chain_after(first: JobId, count: usize) -> Vec<NewJob> {
    chain(first, count, needs)
}

/// The same, where each was made for the one after it.
pub(crate) fn owned_chain_after(first: JobId, count: usize) -> Vec<NewJob> {
    chain(first, count, owns)
}

fn chain(first: JobId, count: usize, input: impl Fn(JobId) -> Input) -> Vec<NewJob> {
    let mut last = first;
    let link = |_| {
        let job = waiting([input(last)]);
        last = job.id;
        job
    };
    (0..count).map(link).collect()
}

pub(crate) fn needs(job: JobId) -> Input {
    Input { job, tolerant: false, owned: false }
}

pub(crate) fn tolerates(job: JobId) -> Input {
    Input { job, tolerant: true, owned: false }
}

pub(crate) fn owns(job: JobId) -> Input {
    Input { job, tolerant: false, owned: true }
}

pub(crate) fn these(ids: &[JobId]) -> JobFilter {
    JobFilter { ids: Some(ids.to_vec()), ..JobFilter::default() }
}

/// The job goes on as this one; its outcome is kept for an hour.
pub(crate) fn continued(jobs: Vec<NewJob>, by: JobId) -> Verdict {
    Verdict::Continued { jobs, by, keep: Keep::For(Duration::from_secs(60 * 60)) }
}

/// A verdict for each of these new jobs.
pub(crate) fn each_by(next: &[NewJob]) -> Vec<Verdict> {
    next.iter().map(|job| continued(vec![job.clone()], job.id)).collect()
}

/// A verdict for each of these jobs, which are stored.
pub(crate) fn each_by_id(next: &[JobId]) -> Vec<Verdict> {
    next.iter().map(|job| continued(vec![], *job)).collect()
}

/// So many verdicts that count.
pub(crate) fn applied(count: usize) -> Vec<Settled> {
    vec![Settled::Applied; count]
}
