//! What is stored, and the states it goes through.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Unique;
use crate::id::JobId;
use crate::payload::Payload;
use crate::queue::{Priority, QueueName};

/// One job to store.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Made by the client.
    pub id: JobId,
    /// Where it waits.
    pub queue: QueueName,
    /// The task's name, for lists and filters; at most [`MAX_TASK`](Self::MAX_TASK) bytes.
    pub task: Cow<'static, str>,
    /// How urgent it is within its queue.
    pub priority: Priority,
    /// When it may run.
    pub due: Due,
    /// It ends as expired if it did not start within this span. A failed attempt
    /// and a lost lease count as starts, a release and a snooze do not. A job under a lease never
    /// expires.
    pub expires_in: Option<Duration>,
    /// The jobs that it waits for, each once; empty for most. Those of the same batch come
    /// before it.
    pub inputs: Vec<Input>,
    /// The key that it takes, if any.
    pub unique: Option<Unique>,
    /// It is stored together with the next one of the batch, or neither is. So the jobs of one
    /// expression are all or none, and calls of others that share the batch are not touched.
    pub with_next: bool,
    /// Everything else, for the worker; the broker does not read it.
    pub envelope: Payload,
}

impl NewJob {
    /// The longest name of a task, in bytes: what fits an indexed column of every database, and a
    /// property of AMQP.
    pub const MAX_TASK: usize = 255;
}

/// A job that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Which.
    pub job: JobId,
    /// Whether the waiting job runs whatever becomes of this one. Otherwise it fails at once
    /// when this one ends in any other way than as done.
    pub tolerant: bool,
    /// Whether this one was made for the waiting job, as a part of its call: it is cancelled
    /// with it if nothing else waits for it.
    pub owned: bool,
}

/// When a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// This long after it was stored, on the broker's clock.
    After(Duration),
    /// At this time, on the broker's clock; a time in the past is now.
    At(Timestamp),
}

/// What became of one job of an `enqueue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It is stored durably.
    Stored,
    /// A job of this id was there already; nothing changed.
    Duplicate,
    /// It is not stored, because this job holds its unique key.
    Conflict(JobId),
    /// It is not stored, because another job of its group is a `Conflict`.
    Withheld,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobState {
    /// Due later, or between two attempts.
    Scheduled,
    /// Waits for other jobs.
    Blocked,
    /// Waits for a worker.
    Ready,
    /// Belongs to a worker.
    Running,
    /// Succeeded.
    Done,
    /// All attempts spent; kept and replayable.
    Failed,
    /// Cancelled before it finished.
    Cancelled,
    /// Did not start in time.
    Expired,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Blocked,
        Self::Ready,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The word used in SQL, logs and the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether the job will not run any more unless it is replayed.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::Expired)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a job state: use scheduled, blocked, ready, running, done, failed, cancelled or expired"
)]
pub struct InvalidJobState {
    text: String,
}

impl FromStr for JobState {
    type Err = InvalidJobState;

    fn from_str(text: &str) -> Result<Self, InvalidJobState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| InvalidJobState { text: text.to_owned() })
    }
}
