//! Upkeep and counts.

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::queue::QueueName;

/// What [`maintain`](super::Broker::maintain) may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintain {
    /// The most jobs touched for each kind of work.
    pub budget: NonZeroU32,
    /// How many lost begun leases a job survives before it ends as lost.
    pub recovery_limit: u32,
}

impl Default for Maintain {
    /// 1,000 jobs, and 3 recoveries.
    fn default() -> Self {
        Self { budget: NonZeroU32::MIN.saturating_add(999), recovery_limit: 3 }
    }
}

/// What upkeep did, in jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upkeep {
    /// Scheduled jobs that became ready.
    pub promoted: u64,
    /// Jobs whose lease had ended and that are ready again.
    pub reclaimed: u64,
    /// Jobs that ended as lost.
    pub lost: u64,
    /// Jobs whose time to expire had passed.
    pub expired: u64,
    /// Finished jobs whose retention was over.
    pub pruned: u64,
}

impl Upkeep {
    /// Whether nothing was done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// How many jobs of one queue are in which state; `None` for what the broker cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// The queue.
    pub queue: QueueName,
    /// Jobs that could run now.
    pub ready: Option<u64>,
    /// Jobs that are due later.
    pub scheduled: Option<u64>,
    /// Jobs that wait for other jobs.
    pub blocked: Option<u64>,
    /// Jobs under a lease.
    pub running: Option<u64>,
    /// Jobs that wait for a replay.
    pub failed: Option<u64>,
    /// Since when the oldest ready job could have run.
    pub oldest_ready: Option<Timestamp>,
}

impl Depth {
    /// A queue without a job.
    #[must_use]
    pub fn empty(queue: QueueName) -> Self {
        let zero = Some(0);
        Self {
            queue,
            ready: zero,
            scheduled: zero,
            blocked: zero,
            running: zero,
            failed: zero,
            oldest_ready: None,
        }
    }
}
