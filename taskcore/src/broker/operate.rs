//! The [`Operate`] trait: what people do to a running system.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::{BrokerError, Depth, JobState};
use crate::error::Failure;
use crate::id::JobId;
use crate::payload::Payload;
use crate::queue::{Priority, QueueName};

/// Lists, cancels and replays jobs; pauses queues. For the command line and for dashboards.
#[async_trait]
pub trait Operate: fmt::Debug + Send + Sync + 'static {
    /// Jobs that pass the filter, newest first, at most `filter.limit`.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError>;

    /// Cancels jobs; one answer per id, in order. The worker of a job that is running is told
    /// ([`Broker::cancelled`](super::Broker::cancelled), else at its next heartbeat), and the
    /// job is cancelled from this moment on whatever it returns.
    ///
    /// What waits for a cancelled job and does not tolerate its end fails. With
    /// [`CancelScope::WithInputs`], inputs that were made for a cancelled job, and for which no
    /// other job waits, are cancelled too, and theirs in turn; the answers do not list them.
    async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError>;

    /// Makes failed jobs that pass the filter ready again, in order of creation, each once,
    /// with their counts back to zero. Answers which. States in the filter are ignored.
    ///
    /// Jobs that failed because one of these had failed (kind
    /// [`Input`](crate::FailureKind::Input)) are blocked again, and what failed because of them
    /// in turn. A job that failed because of an input is itself passed over: its input is what
    /// to replay.
    ///
    /// A job that holds its unique key [until it is final](super::UniqueScope::Unfinished) takes
    /// it again. If another job holds it, the job stays failed and is not answered, and so does
    /// one that would be blocked again.
    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError>;

    /// Deletes jobs that pass the filter, except running ones; answers how many. What waits for
    /// a deleted job that was not final goes on as if it had been cancelled.
    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError>;

    /// All queues that hold a job or are paused, by name.
    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError>;

    /// Stops (`paused`) or goes on handing out the jobs of a queue, in every worker.
    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError>;

    /// Looks the store over: versions, settings, disk, wake-ups, what would hurt soon.
    async fn check(&self) -> Result<Vec<Finding>, BrokerError>;
}

/// Which jobs; every field narrows, and an empty filter is all jobs.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only these ids.
    pub ids: Option<Vec<JobId>>,
    /// Only this task.
    pub task: Option<String>,
    /// Only this queue.
    pub queue: Option<QueueName>,
    /// Only these states; empty is all.
    pub states: Vec<JobState>,
    /// Only jobs created at or after this time.
    pub created_from: Option<Timestamp>,
    /// Only jobs created before this time.
    pub created_before: Option<Timestamp>,
    /// The most jobs; `None` is all.
    pub limit: Option<u32>,
}

/// All that a store knows of one job. Times are the broker's.
#[derive(Debug, Clone, Serialize)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// Its task.
    pub task: String,
    /// Its queue.
    pub queue: QueueName,
    /// Its state.
    pub state: JobState,
    /// Its priority.
    pub priority: Priority,
    /// Attempts that failed so far.
    pub failures: u32,
    /// Leases that were lost so far.
    pub losses: u32,
    /// Lost leases that count as recoveries.
    pub recoveries: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it may run, or could first have run.
    pub due_at: Timestamp,
    /// When the latest delivery was handed out.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How many inputs it waits for.
    pub waits_for: u32,
    /// The unique key that it was stored with, whether or not it still holds it.
    pub unique: Option<String>,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// The latest failure.
    pub failure: Option<Failure>,
    /// The stored bytes.
    #[serde(skip)]
    pub envelope: Payload,
    /// The encoded result.
    #[serde(skip)]
    pub result: Option<Payload>,
}

/// How far a cancel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CancelScope {
    /// The jobs, and those of their inputs that were made for them and that nothing else wants.
    #[default]
    WithInputs,
    /// The jobs alone.
    JobsAlone,
}

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It had not started and never will.
    Prevented,
    /// It was running; its worker is told.
    Signalled,
    /// It was final already; nothing changed.
    TooLate,
    /// No such job is stored.
    Unknown,
}

/// A queue as `queues list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct QueueStatus {
    /// How many jobs in which state, and the queue's name.
    #[serde(flatten)]
    pub depth: Depth,
    /// Whether its jobs are held back.
    pub paused: bool,
    /// How many consumers the server counts; `None` where the store does not know who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
}

/// One line of `doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: FindingLevel,
    /// What was looked at.
    pub subject: String,
    /// What was found, and what to do.
    pub detail: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    /// As it should be.
    Ok,
    /// Works, but worse than it could.
    Warning,
    /// Does not work.
    Error,
}
