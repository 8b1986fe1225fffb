//! The [`History`] trait: what happened, to one job, to all of a task, and in the whole system.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{BrokerError, JobState};
use crate::error::Failure;
use crate::id::JobId;

/// Tells what happened to jobs. Times are the store's.
#[async_trait]
pub trait History: fmt::Debug + Send + Sync + 'static {
    /// The life of a job; `None` if nothing is known of it.
    ///
    /// Kept as long as the job; a replay adds to it. Of a job's deliveries, at least the latest
    /// 50 are told.
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError>;

    /// Counts and times of every task that was ever stored, by name. They are kept as sums,
    /// written in the step that changes them: asking costs the same whatever is stored.
    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError>;

    /// What happened after `after`, the oldest first, waiting at most `wait` for the first of it.
    ///
    /// The store keeps a bounded number of events. Without `after` it answers at once with the
    /// position of now. At most `max` events, at least one if there is one. Every change of a
    /// job's state is an event, recorded in the step that makes the change; but a job that becomes
    /// ready because it is due, or because its inputs are there, is none.
    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError>;
}

/// The life of a job so far.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub task: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it may run, or could last have run.
    pub due_at: Timestamp,
    /// Its deliveries, the oldest first. Those that end by a release before they ran are in it.
    pub attempts: Vec<Attempt>,
    /// Its state now.
    pub state: JobState,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Timeline {
    /// From when it was stored to its first hand-out; `None` if there was none.
    #[must_use]
    pub fn waited(&self) -> Option<SignedDuration> {
        let first = self.attempts.first()?;
        Some(first.started_at.duration_since(self.created_at))
    }

    /// The time in workers, of all deliveries that have ended.
    #[must_use]
    pub fn ran(&self) -> SignedDuration {
        let ended = self.attempts.iter().filter_map(|attempt| Some((attempt, attempt.ended_at?)));
        ended.map(|(attempt, end)| end.duration_since(attempt.started_at)).sum()
    }

    /// From when it was stored to its end; `None` if it has not ended.
    #[must_use]
    pub fn took(&self) -> Option<SignedDuration> {
        Some(self.finished_at?.duration_since(self.created_at))
    }
}

/// One delivery in the life of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Which attempt it was, from 1. Two deliveries have one number if the first was released or
    /// lost.
    pub attempt: u32,
    /// Who had it.
    pub worker: String,
    /// When it was handed out.
    pub started_at: Timestamp,
    /// When it ended; `None` if it goes on.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` if it goes on.
    pub end: Option<AttemptEnd>,
    /// Why, if it failed.
    pub failure: Option<Failure>,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptEnd {
    /// Verdict done.
    Done,
    /// Verdict retry or failed.
    Failed,
    /// Verdict release or snooze.
    Released,
    /// Verdict continued, even if the job failed at once because it would wait for itself.
    Continued,
    /// Its lease ended.
    Lost,
    /// The job was cancelled meanwhile, or verdict cancelled.
    Cancelled,
}

impl AttemptEnd {
    /// A constant, lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Continued => "continued",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Counts and times of one task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TaskStats {
    /// The task.
    pub task: String,
    /// Jobs that were stored.
    pub stored: u64,
    /// Jobs that ended as done.
    pub done: u64,
    /// Jobs that ended as failed; one that is replayed and fails again counts twice.
    pub failed: u64,
    /// Jobs that ended as cancelled.
    pub cancelled: u64,
    /// Jobs that ended as expired.
    pub expired: u64,
    /// Attempts that failed and were to be repeated.
    pub retried: u64,
    /// Leases that were lost.
    pub lost: u64,
    /// Deliveries that ended by a verdict done, retry, failed or continued: what the times are of.
    pub runs: u64,
    /// From hand-out to verdict, of all of them together.
    pub run_time: Duration,
    /// The longest of these.
    pub longest_run: Duration,
    /// From when the job could have run to hand-out, of all of them together. The time for which
    /// a job waits for its inputs counts.
    pub wait_time: Duration,
    /// The longest of these.
    pub longest_wait: Duration,
}

/// The number of an event. They count up by one, in the order in which things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

impl EventId {
    /// Before the first event of all.
    pub const START: Self = Self(0);
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The job.
    pub job: JobId,
    /// Its task; `None` if nothing is kept of the job any more.
    pub task: Option<String>,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// It was stored.
    Stored,
    /// It was handed out.
    Started,
    /// It is done.
    Done,
    /// An attempt failed, and it runs again.
    Retried,
    /// It failed for good.
    Failed,
    /// It was given back unfinished, or snoozes.
    Released,
    /// It goes on as another job.
    Continued,
    /// Its lease ended, and it waits again.
    Lost,
    /// It was cancelled.
    Cancelled,
    /// It expired.
    Expired,
    /// It failed before, and waits again.
    Replayed,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Stored,
        Self::Started,
        Self::Done,
        Self::Retried,
        Self::Failed,
        Self::Released,
        Self::Continued,
        Self::Lost,
        Self::Cancelled,
        Self::Expired,
        Self::Replayed,
    ];

    /// A constant, lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Started => "started",
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Continued => "continued",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Some of what happened.
#[derive(Debug, Clone)]
pub struct Events {
    /// Events that came after the position asked for and are gone: the reader was too slow, or
    /// came too late.
    pub missed: u64,
    /// The oldest first; their numbers have no gaps.
    pub events: Vec<Event>,
    /// Where to go on: the number of the last of them, or else of the last that was missed, or
    /// else the position asked for.
    pub next: EventId,
}
