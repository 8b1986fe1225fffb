//! What became of deliveries.

use std::time::Duration;

use super::{NewJob, Receipt};
use crate::error::Failure;
use crate::id::JobId;
use crate::payload::Payload;

/// One verdict for one delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The job.
    pub job: JobId,
    /// Proof that the delivery is still the caller's.
    pub receipt: Receipt,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// The task succeeded.
    Done {
        /// Its encoded result; `None` for `()`.
        result: Option<Payload>,
        /// What to keep of it.
        keep: Keep,
    },
    /// The attempt failed, and the job runs again.
    Retry {
        /// How long from now, on the broker's clock.
        after: Duration,
        /// Why.
        failure: Failure,
    },
    /// The job failed for good; it is kept until it is replayed or purged.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The job goes on as another one, and ends as that one does.
    Continued {
        /// Stored in the same step, in order; as for [`Broker::enqueue`](super::Broker::enqueue).
        jobs: Vec<NewJob>,
        /// One of these, or any job.
        by: JobId,
        /// What to keep once it is done.
        keep: Keep,
    },
    /// The job turned out to have nothing to do: it ends as cancelled.
    Cancelled,
    /// The worker gives the job back unfinished; no attempt is counted.
    Release,
    /// The job waits for a better time; nothing is counted, and no failure recorded.
    Snooze {
        /// How long from now, on the broker's clock.
        after: Duration,
    },
}

impl Verdict {
    /// The same with a failure of which no text is longer than [`Failure::MAX_TEXT`].
    #[must_use]
    pub fn shortened(self) -> Self {
        let short = |failure: Failure| failure.shortened(Failure::MAX_TEXT);
        match self {
            Self::Retry { after, failure } => Self::Retry { after, failure: short(failure) },
            Self::Failed { failure } => Self::Failed { failure: short(failure) },
            other => other,
        }
    }
}

/// What is kept of a job that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The outcome stays this long, then is pruned.
    For(Duration),
    /// Nothing stays: the caller said `ignore_result`.
    Nothing,
}

/// What became of one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Applied,
    /// The lease was over; nothing changed.
    Stale,
}

/// What became of one extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// The lease goes on.
    Held,
    /// The job was cancelled; stop it.
    Cancelled,
    /// The job is no longer this worker's; stop it.
    Lost,
}
