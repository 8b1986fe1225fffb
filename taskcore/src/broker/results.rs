//! The [`ResultStore`] trait.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{BrokerError, JobState};
use crate::error::{Failure, JobError};
use crate::id::JobId;
use crate::payload::Payload;

/// Keeps what became of jobs, for handles. Reading never consumes.
#[async_trait]
pub trait ResultStore: fmt::Debug + Send + Sync + 'static {
    /// Looks up jobs; one answer per id, in order.
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError>;

    /// Why nothing may be known of a job whose retention is not over, and what to do about it;
    /// `None` if that cannot be.
    fn why_unknown(&self) -> Option<&'static str> {
        None
    }

    /// The ids of jobs that became final after `after`, waiting at most `wait` for the first.
    ///
    /// A hint: it may miss jobs (the caller looks all its jobs up once in a while) and may
    /// name too many. At most 10,000 ids; the next cursor goes on from there. Without a
    /// cursor it answers at once with the position of now.
    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError>;
}

/// A position in the order in which something happened. Only the store reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub i64);

/// Jobs that were cancelled while they ran.
#[derive(Debug, Clone)]
pub struct Cancelled {
    /// Which.
    pub ids: Vec<JobId>,
    /// Where to go on.
    pub next: Cursor,
}

/// Jobs that became final.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Which.
    pub ids: Vec<JobId>,
    /// Where to go on.
    pub next: Cursor,
}

/// What a store knows of one job.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Nothing: never stored, or no longer kept.
    Unknown,
    /// It is not final yet.
    Pending(JobState),
    /// It is final.
    Final(Box<Outcome>),
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub task: String,
    /// A final state.
    pub state: JobState,
    /// The encoded result of a job that is done, unless it was `()`.
    pub result: Option<Payload>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it ended, on the broker's clock.
    pub finished_at: Timestamp,
}

impl Outcome {
    /// Why there is no result; `None` for a job that is done.
    #[must_use]
    pub fn error(&self) -> Option<JobError> {
        let (job, task) = (self.job, self.task.clone());
        match (self.state, &self.failure) {
            (JobState::Done, _) => None,
            (JobState::Cancelled, _) => Some(JobError::Cancelled { job, task }),
            (JobState::Expired, _) => Some(JobError::Expired { job, task }),
            (_, Some(failure)) => Some(JobError::from_failure(failure.clone())),
            (state, None) => {
                let reason = format!("it is {state}, and the store kept no failure");
                Some(JobError::NotKept { job, reason })
            }
        }
    }
}
