//! [`Capabilities`]: what may differ between brokers.

use std::time::Duration;

use super::{BrokerError, NewJob};
use crate::payload::Payload;

/// What a broker can do; one meaning each, and the conformance suite tests both values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A job enqueued twice with one id is stored once.
    pub dedupe: bool,
    /// Results are kept with the verdict.
    pub results: bool,
    /// Unique keys are held and checked.
    pub unique: bool,
    /// Jobs survive the end of every process.
    pub durable: bool,
    /// The largest batch of one call; larger ones are split by the caller.
    pub max_batch: usize,
    /// How many `enqueue`s of one client are worth having under way at a time, for calls that are
    /// delayed one by one: 1 where the broker takes one after the other.
    pub enqueues_at_once: usize,
    /// The largest stored job, in bytes of its envelope.
    pub max_envelope: usize,
    /// A due time is kept to this precision, rounded up.
    pub due_resolution: Duration,
    /// How long one delivery may stay with a worker, however often its lease is extended; `None`
    /// if there is no limit. A worker ends a run before.
    pub longest_run: Option<Duration>,
}

impl Capabilities {
    /// Refuses a batch of which something is above a limit, for brokers.
    ///
    /// # Errors
    ///
    /// The first thing that is.
    pub fn check(&self, batch: &[NewJob]) -> Result<(), OverLimit> {
        OverLimit::check_count(batch.len(), self.max_batch)?;
        batch.iter().try_for_each(|job| self.check_job(&job.task, &job.envelope))
    }

    /// As [`check`](Self::check), of what one job is made of.
    ///
    /// # Errors
    ///
    /// What is above a limit.
    pub fn check_job(&self, task: &str, envelope: &Payload) -> Result<(), OverLimit> {
        if task.len() > NewJob::MAX_TASK {
            // Nobody wants to read all of it.
            let start = task[..task.floor_char_boundary(40)].to_owned();
            return Err(OverLimit::Task { start, bytes: task.len(), limit: NewJob::MAX_TASK });
        }
        let (bytes, limit) = (envelope.len(), self.max_envelope);
        if bytes > limit {
            return Err(OverLimit::Envelope { task: task.to_owned(), bytes, limit });
        }
        Ok(())
    }
}

/// Something that is above a limit of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverLimit {
    /// Too many at once.
    #[error("the batch has {jobs} jobs and the limit is {limit}")]
    Batch {
        /// How many there are.
        jobs: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Too large a job.
    #[error("a job of task `{task}` has {bytes} bytes and the limit is {limit}")]
    Envelope {
        /// Its task.
        task: String,
        /// The size of its envelope.
        bytes: usize,
        /// The largest there may be.
        limit: usize,
    },
    /// Too long a name.
    #[error("the name of task `{start}…` has {bytes} bytes and the limit is {limit}")]
    Task {
        /// How it begins.
        start: String,
        /// How long it is.
        bytes: usize,
        /// The longest there may be.
        limit: usize,
    },
}

impl OverLimit {
    /// Refuses more than `limit` of something at once, for brokers.
    ///
    /// # Errors
    ///
    /// [`OverLimit::Batch`].
    pub fn check_count(jobs: usize, limit: usize) -> Result<(), Self> {
        if jobs > limit { Err(Self::Batch { jobs, limit }) } else { Ok(()) }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Batch { .. } => "split the batch",
            Self::Envelope { .. } => "store the data elsewhere and pass a reference",
            Self::Task { .. } => "give the task a shorter name",
        }
    }

    /// As the answer of this broker: [`BrokerError::Refused`] for a batch, which can be split, and else
    /// [`BrokerError::TooLarge`].
    #[must_use]
    pub fn of_broker(self, broker: &'static str) -> BrokerError {
        let (reason, source) = (self.remedy().to_owned(), Box::new(self.clone()));
        match self {
            Self::Batch { .. } => BrokerError::Refused { broker, reason, source },
            _ => BrokerError::TooLarge { broker, reason, source },
        }
    }
}
