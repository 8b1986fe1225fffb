//! The [`Reports`] trait: what running jobs say before they end.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BrokerError, JobState, Receipt, Settled};
use crate::id::JobId;
use crate::payload::Payload;

/// Keeps what running jobs say: progress, a log, the items of a stream; and what the readers of a
/// stream ask for.
///
/// The rules of [`Broker`](super::Broker) hold here as well: batches, `Err` means unknown, the
/// store's clock decides. All of it is kept as long as its job, and deleted with it. It may be
/// lost with the power, unless a verdict of the same job was recorded after it.
#[async_trait]
pub trait Reports: fmt::Debug + Send + Sync + 'static {
    /// Records reports; one answer per report, in order.
    ///
    /// A report counts only if its receipt is the current lease and that lease has not ended,
    /// checked in the same atomic step; otherwise the answer is [`Settled::Stale`] and nothing
    /// changes. A stale entry does not touch its neighbours.
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError>;

    /// The latest progress of a job, waiting at most `wait` for one that is newer than `seen`.
    ///
    /// Answers at once if there is a newer one than `seen`, or if the job is final or unknown.
    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError>;

    /// The log of a job, the oldest line first; empty if nothing is known of it.
    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError>;

    /// Items of a stream, waiting at most `wait` for the first of them.
    ///
    /// Answers at once if there are any, if [`ReadItems::run`] is over, or if the job is final or
    /// unknown. Reading never consumes.
    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError>;

    /// Notes that a reader wants the items below `until`, and that it is there.
    ///
    /// The highest `until` of all readers counts. Changes nothing if the job is final or unknown.
    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError>;

    /// What readers want of these streams, one answer per entry, in order, waiting at most `wait`
    /// for one of them to want more than is known.
    ///
    /// `None` for a job that is not running.
    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError>;
}

/// What one delivery has to say.
#[derive(Debug, Clone)]
pub struct Report {
    /// The job.
    pub job: JobId,
    /// Proof that the delivery is still the caller's.
    pub receipt: Receipt,
    /// Takes the place of the progress that is there.
    pub progress: Option<Progress>,
    /// Added to the log.
    pub log: Vec<NewLine>,
    /// Added to the stream.
    pub items: Option<NewItems>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Of [`total`](Self::total), in whatever unit the task counts.
    pub done: u64,
    /// 0 if the task does not say.
    pub total: u64,
    /// What it is at; empty if the task does not say.
    pub message: String,
}

impl Progress {
    /// From 0 to 1; `None` if the task does not say how much there is in all.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a fraction for a progress bar")]
        let fraction = self.done as f64 / self.total as f64;
        (self.total > 0).then(|| fraction.min(1.0))
    }
}

/// The latest progress of a job.
#[derive(Debug, Clone)]
pub struct ProgressNow {
    /// `None` if it has reported none.
    pub progress: Option<Progress>,
    /// Higher with every report of progress, from 1; 0 if there was none.
    pub version: u64,
    /// `None` if nothing is known of the job.
    pub state: Option<JobState>,
}

/// A line for the log of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// How long ago the task wrote it.
    pub age: Duration,
    /// The text.
    pub text: String,
}

/// A line of the log of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When the task wrote it, on the broker's clock.
    pub at: Timestamp,
    /// In which attempt, from 1.
    pub attempt: u32,
    /// The text.
    pub text: String,
}

/// Items for a stream.
///
/// Each delivery has a run of its own, which begins with its first report of items, from index 0
/// and possibly empty. With it what earlier deliveries of the job published is deleted, so that
/// runs are never mixed. An item whose index is stored already is passed over; a report that
/// would leave a gap is [`Settled::Stale`] as a whole.
#[derive(Debug, Clone)]
pub struct NewItems {
    /// The index of the first one, within the run.
    pub first: u64,
    /// In order.
    pub items: Vec<Payload>,
}

/// Which items a reader asks for.
#[derive(Debug, Clone, Copy)]
pub struct ReadItems {
    /// The job.
    pub job: JobId,
    /// The run that the reader is in; `None` for whichever is there. If another one is there, the
    /// answer begins with index 0 of that one.
    pub run: Option<u64>,
    /// The index of the first one.
    pub from: u64,
    /// The most items. A store may answer fewer, but at least one if there is one.
    pub max: u32,
}

/// Items of a stream.
#[derive(Debug, Clone)]
pub struct Items {
    /// The run that they are of; `None` if nothing was published yet. Later runs are higher.
    pub run: Option<u64>,
    /// The index of the first one.
    pub first: u64,
    /// In order.
    pub items: Vec<Payload>,
    /// How many the run has now.
    pub total: u64,
    /// Read in the same step; `None` if nothing is known of the job.
    pub state: Option<JobState>,
}

/// What the readers of a stream want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The items below this index.
    pub until: u64,
    /// Since the latest sign of a reader, or since the job was handed out if that is later.
    pub idle: Duration,
}
