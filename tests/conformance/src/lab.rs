//! [`Lab`]: the store under test, and the few things that every case does to it.

use std::borrow::Cow;
use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

use taskcore::broker::{
    Broker, Connection, Delivery, Depth, Due, Enqueued, Extended, History, JobFilter, JobRecord,
    JobState, Keep, Lookup, Maintain, NewJob, Operate, Outbox, QueueShare, Receipt, Reports,
    Reserve, ResultStore, Settled, Settlement, Upkeep, Verdict,
};
use taskcore::{Failure, FailureKind, JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

use crate::harness::{Harness, PATIENCE};
pub(crate) use crate::looking::*;

/// One connection to the store under test. Whatever fails here fails the case.
pub(crate) struct Lab<'h> {
    harness: &'h dyn Harness,
    connection: Connection,
}

impl<'h> Lab<'h> {
    pub(crate) async fn open(harness: &'h dyn Harness) -> Self {
        let lab = Self { harness, connection: harness.connect().await };
        assert!(lab.lag() * 5 <= lab.ticks(1), "a case that waits for jobs outlives their leases");
        lab
    }

    /// The connection to the same store that may do upkeep for this one and use its receipts:
    /// any, but a duplicate where leases belong to a connection.
    pub(crate) async fn sibling(&self) -> Self {
        if !self.is_transport() {
            return self.second().await;
        }
        let broker = self.broker().duplicate().await.unwrap();
        Self { harness: self.harness, connection: Connection { broker, ..self.connection() } }
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        self.harness
    }

    /// Whether the broker under test only carries jobs.
    pub(crate) fn is_transport(&self) -> bool {
        self.harness.is_transport()
    }

    /// Another connection to the same store.
    pub(crate) async fn second(&self) -> Self {
        Self::open(self.harness).await
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    pub(crate) fn broker(&self) -> &dyn Broker {
        self.connection.broker.as_ref()
    }

    pub(crate) fn results(&self) -> &dyn ResultStore {
        self.connection.results.as_deref().expect("the set-up under test keeps results")
    }

    pub(crate) fn operate(&self) -> &dyn Operate {
        self.connection.operate.as_deref().expect("the set-up under test can be operated")
    }

    pub(crate) fn reports(&self) -> &dyn Reports {
        self.connection.reports.as_deref().expect("the set-up under test keeps reports")
    }

    pub(crate) fn history(&self) -> &dyn History {
        self.connection.history.as_deref().expect("the set-up under test keeps its history")
    }

    pub(crate) fn outbox(&self) -> &dyn Outbox {
        self.connection.outbox.as_deref().expect("the set-up under test is an outbox")
    }

    /// How many events the store keeps.
    pub(crate) fn events_kept(&self) -> u64 {
        self.harness.events_kept()
    }

    pub(crate) fn ticks(&self, count: u32) -> Duration {
        self.harness.tick() * count
    }

    /// Lets a number of ticks pass.
    pub(crate) async fn elapse(&self, ticks: u32) {
        self.harness.elapse(self.ticks(ticks)).await;
    }

    /// Lets a number of ticks of leases pass.
    pub(crate) async fn elapse_leases(&self, ticks: u32) {
        self.harness.elapse_leases(self.ticks(ticks)).await;
    }

    /// Lets a span pass that is not ours to choose, such as a retention of the contract.
    pub(crate) async fn elapse_span(&self, span: Duration) {
        self.harness.elapse(span).await;
    }

    /// Stores jobs that nobody has stored before.
    pub(crate) async fn store(&self, jobs: &[NewJob]) {
        let answers = self.broker().enqueue(jobs).await.unwrap();
        assert_eq!(answers, vec![Enqueued::Stored; jobs.len()]);
    }

    /// Stores `count` plain jobs.
    pub(crate) async fn stored(&self, count: usize) -> Vec<JobId> {
        let jobs = plain_jobs(count);
        self.store(&jobs).await;
        ids_of(&jobs)
    }

    /// Leases at most `max` jobs of the queue of plain jobs for two ticks, without a wait; on a
    /// transport, until nothing comes for as long as a job may be on its way.
    pub(crate) async fn reserve(&self, max: usize) -> Vec<Delivery> {
        let mut deliveries = self.broker().reserve(&self.request(max)).await.unwrap();
        if self.is_transport() && !deliveries.is_empty() {
            self.reserve_rest(&mut deliveries, max).await;
        }
        deliveries
    }

    /// What [`reserve`](Self::reserve) asks.
    pub(crate) fn request(&self, max: usize) -> Reserve {
        let max = count(max);
        Reserve {
            queues: vec![QueueShare { queue: plain_queue(), max }],
            max,
            lease: self.ticks(2),
            wait: self.lag(),
            interrupt: CancellationToken::new(),
            worker: "worker of the suite".to_owned(),
        }
    }

    /// Leases exactly `count` jobs, and checks that there are no more.
    pub(crate) async fn reserve_all(&self, count: usize) -> Vec<Delivery> {
        let deliveries = match self.is_transport() {
            true => self.reserve_slowly(count).await,
            false => self.reserve(count + 1).await,
        };
        assert_eq!(deliveries.len(), count, "the number of jobs that could be reserved");
        deliveries
    }

    /// Stores `count` plain jobs and leases them.
    pub(crate) async fn leased(&self, count: usize) -> Vec<Delivery> {
        self.stored(count).await;
        self.reserve_all(count).await
    }

    pub(crate) async fn settle(&self, deliveries: &[Delivery], verdict: &Verdict) -> Vec<Settled> {
        let batch = settlements(deliveries, verdict);
        self.broker().settle(&batch).await.unwrap()
    }

    /// Settles deliveries whose leases are current.
    pub(crate) async fn apply(&self, deliveries: &[Delivery], verdict: &Verdict) {
        let answers = self.settle(deliveries, verdict).await;
        assert_eq!(answers, vec![Settled::Applied; deliveries.len()], "for {verdict:?}");
    }

    pub(crate) async fn begin(&self, deliveries: &[Delivery]) -> Vec<Settled> {
        let mut answers = Vec::new();
        for delivery in deliveries {
            answers.push(self.broker().begin(&delivery.receipt).await.unwrap());
        }
        answers
    }

    pub(crate) async fn extend(&self, deliveries: &[Delivery], ticks: u32) -> Vec<Extended> {
        let receipts: Vec<Receipt> =
            deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        self.broker().extend(&receipts, self.ticks(ticks)).await.unwrap()
    }

    /// One round of upkeep with the default budget.
    pub(crate) async fn maintain(&self) -> Upkeep {
        self.broker().maintain(&Maintain::default()).await.unwrap()
    }

    /// Lets the leases of [`reserve`](Self::reserve) end, and reclaims.
    pub(crate) async fn lose_leases(&self) -> Upkeep {
        self.elapse_leases(2).await;
        self.maintain().await
    }

    /// The depth of the queue of plain jobs.
    pub(crate) async fn depth(&self) -> Counts {
        Counts::of(&self.depth_of(&plain_queue()).await)
    }

    pub(crate) async fn depth_of(&self, queue: &QueueName) -> Depth {
        let mut depths = self.broker().depth(std::slice::from_ref(queue)).await.unwrap();
        assert_eq!(depths.len(), 1);
        depths.remove(0)
    }

    pub(crate) async fn outcomes(&self, ids: &[JobId]) -> Vec<Lookup> {
        let lookups = self.results().outcomes(ids).await.unwrap();
        assert_eq!(lookups.len(), ids.len());
        lookups
    }

    /// The states of jobs, `None` for those the store does not know. A transport knows none.
    pub(crate) async fn states(&self, ids: &[JobId]) -> Vec<Option<JobState>> {
        let state = |lookup| match lookup {
            Lookup::Unknown => None,
            Lookup::Pending(state) => Some(state),
            Lookup::Final(outcome) => Some(outcome.state),
        };
        self.outcomes(ids).await.into_iter().map(state).collect()
    }

    pub(crate) async fn cancel(&self, ids: &[JobId]) -> Vec<taskcore::broker::CancelOutcome> {
        self.operate().cancel(ids, taskcore::broker::CancelScope::WithInputs).await.unwrap()
    }

    /// The records of jobs that are stored, in the order asked.
    pub(crate) async fn records(&self, ids: &[JobId]) -> Vec<JobRecord> {
        let filter = JobFilter { ids: Some(ids.to_vec()), ..JobFilter::default() };
        let found = self.operate().jobs(&filter).await.unwrap();
        let record = |id: &JobId| found.iter().find(|record| record.id == *id).cloned();
        ids.iter().map(|id| record(id).expect("the job is listed")).collect()
    }

    /// The ids of the jobs that pass a filter, as they are listed.
    pub(crate) async fn listed(&self, filter: &JobFilter) -> Vec<JobId> {
        let records = self.operate().jobs(filter).await.unwrap();
        records.into_iter().map(|record| record.id).collect()
    }
}

/// Texts that end a literal, a pattern or a line somewhere, or are no ASCII.
pub(crate) const HOSTILE: [&str; 8] = [
    "it's \"quoted\" `so`",
    "'; DROP TABLE job; --",
    "%_\\?$1:x{}*[]^",
    "line\r\nContent-Length: 0\r\n\r\n",
    "\u{0} zero",
    "日本語 żółć ☃ 🦀 e\u{301}",
    "\u{202e}backwards\u{feff}",
    " \t leading and trailing \t ",
];

/// The queue of plain jobs.
pub(crate) fn plain_queue() -> QueueName {
    queue("plain")
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

pub(crate) fn share(name: &str, max: usize) -> QueueShare {
    QueueShare { queue: queue(name), max: count(max) }
}

pub(crate) fn count(count: usize) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(count).unwrap()).expect("a case asks for at least one job")
}

/// A job of no special properties, with bytes of its own.
pub(crate) fn plain_job() -> NewJob {
    let id = JobId::new();
    NewJob {
        id,
        queue: plain_queue(),
        task: Cow::Borrowed("suite::plain"),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: envelope_of(id),
    }
}

/// The bytes of a plain job.
pub(crate) fn envelope_of(id: JobId) -> Payload {
    Payload::from(format!("envelope of {id}").into_bytes())
}

pub(crate) fn plain_jobs(count: usize) -> Vec<NewJob> {
    jobs(count, plain_job)
}

/// `count` jobs like the one given, each of its own id.
pub(crate) fn jobs(count: usize, job: impl Fn() -> NewJob) -> Vec<NewJob> {
    (0..count).map(|_| job()).collect()
}

pub(crate) fn due_in(span: Duration) -> NewJob {
    NewJob { due: Due::After(span), ..plain_job() }
}

pub(crate) fn in_queue(name: &str) -> NewJob {
    NewJob { queue: queue(name), ..plain_job() }
}

pub(crate) fn with_priority(priority: i8) -> NewJob {
    NewJob { priority: Priority::new(priority).unwrap(), ..plain_job() }
}

pub(crate) fn ids_of(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(crate) fn jobs_of(deliveries: &[Delivery]) -> Vec<JobId> {
    deliveries.iter().map(|delivery| delivery.job).collect()
}

pub(crate) fn sorted(mut ids: Vec<JobId>) -> Vec<JobId> {
    ids.sort_unstable();
    ids
}

pub(crate) fn settlements(deliveries: &[Delivery], verdict: &Verdict) -> Vec<Settlement> {
    let settlement = |delivery: &Delivery| Settlement {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        verdict: verdict.clone(),
    };
    deliveries.iter().map(settlement).collect()
}

/// Done with a small result that is kept for an hour.
pub(crate) fn done() -> Verdict {
    done_with(b"42", Duration::from_secs(60 * 60))
}

pub(crate) fn done_with(result: &[u8], keep: Duration) -> Verdict {
    Verdict::Done { result: Some(Payload::from(result.to_vec())), keep: Keep::For(keep) }
}

pub(crate) fn done_keeping_nothing() -> Verdict {
    Verdict::Done { result: Some(Payload::from(b"42".to_vec())), keep: Keep::Nothing }
}

pub(crate) fn retry(after: Duration) -> Verdict {
    Verdict::Retry { after, failure: failure("again") }
}

pub(crate) fn snooze(after: Duration) -> Verdict {
    Verdict::Snooze { after }
}

pub(crate) fn failed() -> Verdict {
    Verdict::Failed { failure: failure("for good") }
}

/// One verdict of each kind.
pub(crate) fn all_verdicts() -> [Verdict; 6] {
    [
        done(),
        done_keeping_nothing(),
        retry(Duration::ZERO),
        failed(),
        Verdict::Release,
        snooze(Duration::ZERO),
    ]
}

pub(crate) fn failure(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Error,
        task: "suite::plain".to_owned(),
        // Whoever stores a failure does not read it, so any job will do.
        job: JobId::from_bytes([7; 16]),
        attempt: 1,
        error_type: Some("suite::Error".to_owned()),
        message: message.to_owned(),
        causes: vec!["a cause".to_owned()],
        permanent: false,
    }
}

/// Waits for what must happen soon.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(PATIENCE, happens).await;
    in_time.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Checks that a call is waiting: that it has not answered after a while.
pub(crate) async fn assert_waits<T>(call: &mut (impl Future<Output = T> + Unpin)) {
    let while_ = Duration::from_millis(100);
    assert!(tokio::time::timeout(while_, call).await.is_err(), "the call did not wait");
}
