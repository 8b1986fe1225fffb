//! Asking for jobs, and what is handed out.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::id::JobId;
use crate::payload::Payload;
use crate::queue::QueueName;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The queues, in the order in which to serve them.
    pub queues: Vec<QueueShare>,
    /// The most deliveries wanted.
    pub max: NonZeroU32,
    /// For how long each delivery belongs to the caller.
    pub lease: Duration,
    /// The longest wait for the first job; zero looks once.
    pub wait: Duration,
    /// Ends the wait early; never drops what was leased.
    pub interrupt: CancellationToken,
    /// Who asks, for `jobs show` and the timeline; at most 255 bytes.
    pub worker: String,
}

/// One queue of a [`Reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueShare {
    /// The queue.
    pub queue: QueueName,
    /// The most deliveries of this queue.
    pub max: NonZeroU32,
}

/// One hand-out of a job to a worker.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The job.
    pub job: JobId,
    /// The task's name as the client stored it; the registry may not know it.
    pub task: String,
    /// The queue it came from.
    pub queue: QueueName,
    /// The bytes that were enqueued, unread by the broker.
    pub envelope: Payload,
    /// Which attempt this is, from 1: failures so far plus one.
    pub attempt: NonZeroU32,
    /// Proof of this lease.
    pub receipt: Receipt,
    /// Whether the lease of this job was lost so often that it may have killed its worker; see
    /// [`SUSPECT_AFTER`](Self::SUSPECT_AFTER).
    pub suspect: bool,
    /// When it was enqueued, on the broker's clock.
    pub enqueued_at: Timestamp,
    /// Since when it could have run: when it was enqueued, or became due.
    pub due_at: Timestamp,
}

impl Delivery {
    /// A job is a suspect from its second lost lease on.
    ///
    /// The first loss is forgiven: a worker that is killed from outside loses all its jobs at
    /// once, and they must run elsewhere side by side, not one at a time. A job that really
    /// kills its worker costs one more process by this.
    pub const SUSPECT_AFTER: u32 = 2;
}

/// The opaque proof of one lease. Only the broker that made it reads it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Receipt(Bytes);

impl Receipt {
    /// Wraps a broker's bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The broker's bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({} bytes)", self.0.len())
    }
}
