//! The [`Outbox`] trait: what a store does for a broker that only carries jobs.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::{BrokerError, Delivery};
use crate::id::JobId;
use crate::queue::{Priority, QueueName};

/// Lets another broker carry the ready jobs of a store to the workers.
///
/// The store stays the truth: a job is leased, settled and kept here, and a message that was
/// carried is no more than the hint that a job may be claimed. Between the two stands the outbox,
/// a list of the jobs that became ready and were not sent yet. Whoever sends takes entries, sends
/// them, and then says so; an entry of which that was never said is given out again. So each
/// ready job is sent at least once, through whatever crash.
///
/// The rules of [`Broker`](super::Broker) hold here as well: batches, `Err` means unknown, the
/// store's clock decides.
#[async_trait]
pub trait Outbox: std::fmt::Debug + Send + Sync + 'static {
    /// Opens the outbox: from now on, each job that becomes ready is entered in the atomic step
    /// that makes it ready, by whichever process; and all jobs that are ready now are entered.
    ///
    /// It stays open, also without this process. Opening it again changes nothing.
    async fn open_outbox(&self) -> Result<(), BrokerError>;

    /// Takes up to `max` entries, the oldest first, waiting at most `wait` for the first.
    ///
    /// For `hold` from now, nobody else is given them. Entries of jobs that are no longer ready
    /// may be among them. Those that became ready in one step are in the order in which they
    /// would be handed out.
    async fn unsent(
        &self,
        max: NonZeroU32,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Outgoing>, BrokerError>;

    /// Deletes entries: their jobs were sent. What became ready again since stays entered.
    async fn sent(&self, entries: &[Outgoing]) -> Result<(), BrokerError>;

    /// Leases these jobs, as [`reserve`](super::Broker::reserve) leases what it finds: each if it
    /// is ready, and its queue not paused. One answer per id, in order; an id named twice is
    /// leased once. Counts as sending: the entries of what is leased are deleted.
    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError>;
}

/// A job to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Which entry this is. Only the store reads it.
    pub entry: i64,
    /// The job.
    pub job: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its priority.
    pub priority: Priority,
}

/// Which jobs a worker was told of.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The jobs; at most 10,000.
    pub jobs: Vec<JobId>,
    /// For how long each delivery belongs to the caller.
    pub lease: Duration,
    /// Who asks, as in [`Reserve`](super::Reserve).
    pub worker: String,
}

/// What became of one id of a [`Claim`].
#[derive(Debug, Clone)]
pub enum Claimed {
    /// It belongs to the caller.
    Leased(Box<Delivery>),
    /// It is stored, but not ready, or its queue is paused: blocked, scheduled, running or final.
    NotReady,
    /// No such job is stored.
    Unknown,
}
