//! What a case sees of jobs: what a store tells of them or, where there is none, what is handed
//! out, counted and kept as failed.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{
    Delivery, Depth, JobFilter, JobRecord, JobState, Maintain, Outcome, Upkeep, Verdict,
};
use taskcore::{FailureKind, QueueName};

use crate::lab::*;

/// How long a case waits for a transport to bring jobs and counts. Longer than they may take, as
/// how late they come is the sentence of one case only; short, as what is lost never comes.
const SLOW: Duration = Duration::from_secs(5);

impl Lab<'_> {
    /// How long to wait for a job that may be on its way; nothing where jobs do not travel.
    pub(crate) fn lag(&self) -> Duration {
        if self.is_transport() { self.harness().lag() } else { Duration::ZERO }
    }

    /// How often a race is run; each is lost or won by chance. A transport's time is waited for.
    pub(crate) fn rounds(&self) -> usize {
        if self.is_transport() { 6 } else { 20 }
    }

    /// What follows these deliveries, up to `max` in all, until nothing comes for a while.
    pub(crate) async fn reserve_rest(&self, deliveries: &mut Vec<Delivery>, max: usize) {
        while deliveries.len() < max {
            let request = self.request(max - deliveries.len());
            let more = self.broker().reserve(&request).await.unwrap();
            if more.is_empty() {
                return;
            }
            deliveries.extend(more);
        }
    }

    /// Leases `count` jobs, however long they take, and looks for one more.
    pub(crate) async fn reserve_slowly(&self, count: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let started = std::time::Instant::now();
        while deliveries.len() < count && started.elapsed() < SLOW {
            let request = self.request(count - deliveries.len());
            deliveries.extend(self.broker().reserve(&request).await.unwrap());
        }
        deliveries.extend(self.reserve(1).await);
        deliveries
    }

    /// Checks that these jobs came again: each once, and in their turn where a job keeps it.
    pub(crate) fn assert_again(&self, again: &[Delivery], ids: &[JobId]) {
        match self.is_transport() {
            true => assert_eq!(sorted(jobs_of(again)), sorted(ids.to_vec())),
            false => assert_eq!(jobs_of(again), ids),
        }
    }

    /// Checks the counts of the queue of plain jobs.
    pub(crate) async fn assert_depth(&self, expected: Counts) {
        self.assert_depth_of(&plain_queue(), expected).await;
    }

    /// The same, in a case that goes through several verdicts.
    pub(crate) async fn assert_depth_with(&self, verdict: &Verdict, expected: Counts) {
        let counts = self.counts(&plain_queue(), expected).await;
        assert_eq!(counts, expected, "{verdict:?}");
    }

    /// Checks the counts of a queue.
    pub(crate) async fn assert_depth_of(&self, queue: &QueueName, expected: Counts) {
        assert_eq!(self.counts(queue, expected).await, expected, "in the queue {queue}");
    }

    /// The counts of a queue. A transport knows what is ready and what failed, and may take its
    /// time to count what is expected.
    async fn counts(&self, queue: &QueueName, expected: Counts) -> Counts {
        if !self.is_transport() {
            return Counts::of(&self.depth_of(queue).await);
        }
        let started = std::time::Instant::now();
        loop {
            let counts = Counts::of_transport(&self.depth_of(queue).await, expected);
            if counts == expected || started.elapsed() > SLOW {
                return counts;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that all these jobs are in a state.
    ///
    /// On a transport, that they are what it can tell of it: the ready ones are all that are,
    /// failed ones are listed and others are not, and of neither is any handed out.
    pub(crate) async fn assert_all(&self, ids: &[JobId], state: JobState) {
        if !self.is_transport() {
            assert_eq!(self.states(ids).await, vec![Some(state); ids.len()]);
            return;
        }
        let failed = sorted(self.listed(&failed_jobs()).await);
        match state {
            JobState::Ready => return self.assert_depth(Counts::ready(ids.len())).await,
            JobState::Failed => assert_eq!(failed, sorted(ids.to_vec())),
            _ => assert!(ids.iter().all(|id| !failed.contains(id)), "a job failed: {state} is not"),
        }
        assert_eq!(jobs_of(&self.reserve(1).await), [], "handed out, but {state}");
    }

    /// The records of jobs, where the broker keeps those of all jobs; else none.
    pub(crate) async fn kept_records(&self, ids: &[JobId]) -> Vec<JobRecord> {
        if self.is_transport() { Vec::new() } else { self.records(ids).await }
    }

    /// The states of jobs, where the broker keeps them; else none.
    pub(crate) async fn kept_states(&self, ids: &[JobId]) -> Vec<Option<JobState>> {
        if self.is_transport() { Vec::new() } else { self.states(ids).await }
    }

    /// The outcomes of jobs that have ended, where the broker keeps them; else none.
    pub(crate) async fn kept_outcomes(&self, ids: &[JobId]) -> Vec<Outcome> {
        if self.is_transport() { Vec::new() } else { self.ends(ids).await }
    }

    /// The records of failed jobs, in the order asked; every broker keeps those.
    pub(crate) async fn failed_records(&self, ids: &[JobId]) -> Vec<JobRecord> {
        let found = self.operate().jobs(&failed_jobs()).await.unwrap();
        let record = |id: &JobId| found.iter().find(|record| record.id == *id).cloned();
        let records: Vec<_> = ids.iter().map(|id| record(id).expect("the job failed")).collect();
        assert!(records.iter().all(|record| record.state == JobState::Failed));
        records
    }

    /// Checks that jobs ended because their leases were lost too often.
    pub(crate) async fn assert_lost(&self, ids: &[JobId]) {
        let records = self.failed_records(ids).await;
        for (outcome, record) in self.kept_outcomes(ids).await.iter().zip(&records) {
            assert_eq!((outcome.job, outcome.state), (record.id, JobState::Failed));
            assert_eq!(outcome.failure, record.failure);
        }
        for record in records {
            let failure = record.failure.expect("a lost job has a failure");
            assert_eq!((failure.kind, failure.job), (FailureKind::Lost, record.id));
            assert_eq!(failure.task, "suite::plain");
            assert!(!failure.message.is_empty());
        }
    }

    /// Checks how many leases of each of these jobs were lost, of which no attempt has failed.
    /// Comes last, and these are all that can run: where no record tells it, the jobs are lost
    /// until they end.
    pub(crate) async fn assert_marks(&self, ids: &[JobId], expected: Marks) {
        if self.is_transport() {
            return self.lose_until_lost(ids, expected).await;
        }
        for record in self.records(ids).await {
            assert_eq!(record.failures, 0, "a lost lease is not a failure");
            let Marks { losses, recoveries } = expected;
            assert_eq!((record.losses, record.recoveries), (losses, recoveries));
        }
    }

    /// With a limit of one recovery more than there were, a job survives one loss and no other.
    async fn lose_until_lost(&self, ids: &[JobId], expected: Marks) {
        let maintain = Maintain { recovery_limit: expected.recoveries + 1, ..Maintain::default() };
        let count = ids.len() as u64;
        for (round, answer) in [(0, (count, 0)), (1, (0, count))] {
            let deliveries = self.reserve_all(ids.len()).await;
            self.assert_again(&deliveries, ids);
            let is_suspect = expected.losses + round >= Delivery::SUSPECT_AFTER;
            for delivery in &deliveries {
                assert_eq!(delivery.suspect, is_suspect, "{expected:?} and {round} more");
                assert_eq!(delivery.attempt.get(), 1, "a lost lease is not a failure");
            }
            self.begin(&deliveries).await;
            self.elapse_leases(2).await;
            let upkeep = self.broker().maintain(&maintain).await.unwrap();
            assert_eq!((upkeep.reclaimed, upkeep.lost), answer, "{expected:?} and {round} more");
        }
    }

    /// Checks what upkeep did. What becomes ready, expires and is pruned without it does not
    /// count.
    pub(crate) fn assert_upkeep(&self, upkeep: Upkeep, expected: Upkeep) {
        match self.is_transport() {
            true => assert_eq!(
                (upkeep.reclaimed, upkeep.lost),
                (expected.reclaimed, expected.lost),
                "{upkeep:?}"
            ),
            false => assert_eq!(upkeep, expected),
        }
    }

    /// Checks that upkeep ends `count` jobs as expired, or that they are not there any more.
    pub(crate) async fn assert_expires(&self, count: usize) {
        let upkeep = self.maintain().await;
        self.assert_upkeep(upkeep, Upkeep { expired: count as u64, ..Upkeep::default() });
    }

    /// Makes failed jobs ready again; answers which, in order of creation or, on a transport, of
    /// their ids.
    pub(crate) async fn replay_in_order(&self, filter: &JobFilter) -> Vec<JobId> {
        self.in_order(self.operate().replay(filter).await.unwrap())
    }

    /// Ids as [`replay_in_order`](Self::replay_in_order) answers them.
    pub(crate) fn in_order(&self, ids: Vec<JobId>) -> Vec<JobId> {
        if self.is_transport() { sorted(ids) } else { ids }
    }

    /// Deletes every job that is not running. On a transport, runs those that are ready.
    pub(crate) async fn purge_all(&self) {
        if !self.is_transport() {
            self.operate().purge(&JobFilter::default()).await.unwrap();
            return;
        }
        loop {
            let deliveries = self.reserve(100).await;
            if deliveries.is_empty() {
                break;
            }
            self.apply(&deliveries, &done_keeping_nothing()).await;
        }
        self.operate().purge(&failed_jobs()).await.unwrap();
        self.assert_depth(Counts::default()).await;
    }
}

/// All failed jobs.
pub(crate) fn failed_jobs() -> JobFilter {
    JobFilter { states: vec![JobState::Failed], ..JobFilter::default() }
}

/// What became of a job's leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) losses: u32,
    pub(crate) recoveries: u32,
}

/// The counts of a [`Depth`], each of which the broker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) ready: u64,
    pub(crate) scheduled: u64,
    pub(crate) blocked: u64,
    pub(crate) running: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn of(depth: &Depth) -> Self {
        let known = |count: Option<u64>| count.expect("the broker under test counts its jobs");
        Self {
            ready: known(depth.ready),
            scheduled: known(depth.scheduled),
            blocked: known(depth.blocked),
            running: known(depth.running),
            failed: known(depth.failed),
        }
    }

    /// What a transport must know; and what else it knows, or what is expected of that.
    fn of_transport(depth: &Depth, expected: Self) -> Self {
        let known = |count: Option<u64>| count.expect("a transport counts what is ready or failed");
        Self {
            ready: known(depth.ready),
            scheduled: depth.scheduled.unwrap_or(expected.scheduled),
            blocked: depth.blocked.unwrap_or(expected.blocked),
            running: depth.running.unwrap_or(expected.running),
            failed: known(depth.failed),
        }
    }

    /// What is left of `count` jobs after a verdict, one of [`all_verdicts`].
    pub(crate) fn after(verdict: &Verdict, count: usize) -> Self {
        match verdict {
            Verdict::Retry { .. } | Verdict::Release | Verdict::Snooze { .. } => Self::ready(count),
            Verdict::Failed { .. } => Self::failed(count),
            _ => Self::default(),
        }
    }

    pub(crate) fn ready(count: usize) -> Self {
        Self { ready: count as u64, ..Self::default() }
    }

    pub(crate) fn scheduled(count: usize) -> Self {
        Self { scheduled: count as u64, ..Self::default() }
    }

    pub(crate) fn blocked(count: usize) -> Self {
        Self { blocked: count as u64, ..Self::default() }
    }

    pub(crate) fn running(count: usize) -> Self {
        Self { running: count as u64, ..Self::default() }
    }

    pub(crate) fn failed(count: usize) -> Self {
        Self { failed: count as u64, ..Self::default() }
    }
}
