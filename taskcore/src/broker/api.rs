//! The [`Broker`] trait.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    BrokerError, Cancelled, Capabilities, Cursor, Delivery, Depth, Enqueued, Extended, Maintain,
    NewJob, Receipt, Reserve, Settled, Settlement, Upkeep,
};
use crate::queue::QueueName;

/// Stores jobs and hands them out under leases.
///
/// The contract has two sides. Implementers write these methods and prove them with the
/// package `taskconformance`, which has a case for every sentence below; applications use
/// [`Client`](crate::Client).
///
/// Rules that hold for every method:
///
/// - **Batches.** Whatever carries data takes and answers a batch. An answer has one entry per
///   input, in order. An empty batch answers an empty list and touches nothing.
/// - **Err means unknown.** After [`BrokerError::Unavailable`] the call may or may not have
///   happened; repeating it with the same ids and receipts is safe.
/// - **The broker's clock** decides due times and the ends of leases: callers pass spans.
/// - **Wake-ups are hints.** Nothing may depend on one arriving.
/// - **Concurrency.** All methods take `&self` and may run at the same time. Dropping a future
///   leaves the store sound; what it had leased comes back when the lease ends.
/// - **Policy is elsewhere.** A broker does not know what a task is, when to retry or how long
///   to back off; it records what the worker decided.
///
/// - **Expiry.** A job that has a time to expire and waits beyond it is not handed out and ends
///   as expired, as long as it has not started. A failed attempt and a lost lease count as
///   starts, a release and a snooze do not. A job under a lease never expires.
/// - **Inputs.** A job that names inputs is blocked until every one of them is final; then it is
///   ready, or scheduled if it is not due yet, in the same atomic step that made the last one
///   final. An input that ends in any other way than as done, or of which nothing is known when
///   the job is stored, fails what waits for it and does not
///   [tolerate](super::Input::tolerant) that, in the same step, and what waits for that in turn:
///   with [`Failure::of_input`](crate::Failure::of_input), which names the root. One input may
///   have any number of jobs that wait for it; the work is linear in the number of edges. Inputs
///   need `capabilities().results`; without, a batch with any is `Unsupported` and stores nothing.
/// - **Retention of inputs.** What is kept of a job stays at least until every job that named it
///   as an input is done, cancelled, expired or deleted: a failed one may be replayed, and reads
///   its inputs again. This holds for [`Keep::Nothing`](super::Keep::Nothing) as well, result
///   included.
/// - **Continuation.** A job that is continued by another waits for that one alone, as for an input
///   that it needs, and that it owns if the verdict made it; it needs its own inputs no more. Once
///   that one is done, it is done with the same result, in the same step; if that one ends
///   otherwise, or is unknown, it fails as for any input, but with
///   [`Failure::of_continuation`](crate::Failure::of_continuation). It has started, so it never
///   expires. One that would wait for itself, through whatever jobs, fails at once with
///   [`Failure::of_cycle`](crate::Failure::of_cycle) instead. Continuations need
///   `capabilities().results`; without, a batch of verdicts with any is `Unsupported`, and none of
///   them counts.
///
/// - **Unique keys.** At most one job of a task holds a key. A job that names one takes it in the
///   step that stores it, and holds it [as long as it says](super::UniqueScope). If another job
///   holds it, the answer is [`Enqueued::Conflict`] and the job is not stored; but with
///   [`OnConflict::Replace`](super::OnConflict::Replace), a holder that is scheduled, blocked or
///   ready is cancelled with its inputs in the same step, and the new job stored. The jobs of a
///   batch come one after the other. Jobs that [belong together](super::NewJob::with_next) are
///   stored together: where one of them conflicts, with a stored job or with another one of
///   them, the others are [`Enqueued::Withheld`], and they replace nothing. Keys need
///   `capabilities().unique`; without, a batch with any is `Unsupported` and stores nothing.
///
/// A **transport** is a broker that carries jobs and keeps nothing of them but those that failed:
/// `dedupe`, `results` and `unique` are off, [`Connection`](super::Connection) has no face but
/// `broker` and `operate`, and there only failed jobs can be listed, replayed and purged. Its
/// leases belong to the connection that reserved and to its duplicates: these alone extend, settle
/// and reclaim them, to others they are stale, and closing the connection gives back at once what
/// it holds. A job that comes again (released, snoozed, reclaimed, retried or replayed) may go
/// behind its neighbours.
///
/// The states of a job and what moves it between them:
///
/// | from | on | to | counts |
/// | --- | --- | --- | --- |
/// | – | `enqueue`, due later | scheduled | |
/// | – | `enqueue`, due now | ready | |
/// | – | `enqueue`, an input is not final | blocked | |
/// | – | `enqueue`, an input ended otherwise than as done and is not tolerated | failed (input) | |
/// | blocked | last input final | ready, scheduled | |
/// | blocked | an input ended otherwise than as done and is not tolerated | failed (input) | |
/// | scheduled | due time passed | ready | |
/// | ready | `reserve` | running | |
/// | ready, scheduled, blocked | its time to expire passed, and no attempt has failed and no lease was lost | expired | |
/// | running | verdict done | done | |
/// | running | verdict retry | scheduled | attempt + 1 |
/// | running | verdict failed | failed | attempt + 1 |
/// | running | verdict release | ready | |
/// | running | verdict snooze | scheduled | |
/// | running | verdict continued | blocked | |
/// | running | verdict continued, by a job that needs it | failed | attempt + 1 |
/// | blocked | the job that continues it is done | done, with its result | |
/// | blocked | the job that continues it ended otherwise | failed (input) | |
/// | running | verdict cancelled | cancelled | |
/// | running | lease ended | ready | losses + 1; recoveries + 1 if begun |
/// | running | lease ended, recoveries at the limit | failed (lost) | |
/// | ready, scheduled, blocked, running | cancel | cancelled | |
/// | failed | replay | ready, or blocked if an input is replayed too | all counts back to 0 |
/// | failed (input) | replay of that input | blocked | |
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// A short, constant, lower-case name, used in errors, spans and metrics.
    fn name(&self) -> &'static str;

    /// What this broker can do; constant for the life of the value.
    ///
    /// Asking for what is off gives [`BrokerError::Unsupported`].
    fn capabilities(&self) -> Capabilities;

    /// A second connection to the same store, driven by the runtime that calls this.
    ///
    /// The worker's heartbeat lives on a thread of its own and must not wait behind the
    /// connections that jobs use.
    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError>;

    /// Stores the jobs of `batch`, durably, all or none on memory and SQL, but for those whose
    /// unique keys others hold.
    ///
    /// A job whose id is stored already answers [`Enqueued::Duplicate`] and changes nothing,
    /// for at least 10 minutes after that job ended, where `capabilities().dedupe` is on; also
    /// when it holds the unique key that it is stored with again.
    /// Within one batch, jobs of equal queue, priority and due time are handed out in order.
    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError>;

    /// Leases up to `request.max` due jobs, waiting at most `request.wait` for the first.
    ///
    /// Each due job goes to one caller until its lease ends, never before its due time.
    /// Queues are served in the order of the request, each up to its own limit; within one
    /// queue by priority, then by due time, then in the order of enqueueing. A paused queue
    /// gives nothing. Returns with what there is as soon as there is one job, and with an
    /// empty list when the wait is over or `request.interrupt` fires. Never cancelled by the
    /// worker.
    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError>;

    /// Marks the delivery of a suspect as begun, right before it runs.
    ///
    /// Only the loss of a begun suspect counts as a recovery. `Stale` if the lease is over.
    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError>;

    /// Records one verdict per delivery.
    ///
    /// A verdict counts only if its receipt is the current lease, and that lease has not
    /// ended, checked in the same atomic step that records it; otherwise the answer is
    /// [`Settled::Stale`] and nothing changes. A stale entry does not touch its neighbours.
    /// A result is stored in the same step.
    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError>;

    /// Makes each lease end `lease` from now.
    ///
    /// The answer also tells which jobs were cancelled, and which are no longer this
    /// worker's. A lease that has ended is not extended. A shorter `lease` shortens.
    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError>;

    /// The ids of running jobs that were cancelled after `after`, waiting at most `wait` for the
    /// first, so that a worker need not learn of it at its next heartbeat.
    ///
    /// A hint: it may miss jobs, and it names those of other workers too. At most 10,000 ids;
    /// the next cursor goes on from there. Without a cursor it answers at once with the position
    /// of now.
    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        let _ = (after, wait);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "cancelled" })
    }

    /// Promotes due jobs, reclaims ended leases, expires and prunes; touches at most
    /// `maintain.budget` jobs of each kind, and always makes progress.
    ///
    /// Reclaiming checks, in the same step, that the lease has ended and is still the same.
    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError>;

    /// Counts per queue, in the order asked; zeros for an unknown queue, which is not created.
    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError>;

    /// The broker as its own type, for what only one kind can do, such as storing jobs inside a
    /// caller's transaction. `None` if there is no such thing.
    fn as_any(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// Finishes the calls under way and closes the connections; later calls give
    /// [`BrokerError::Closed`]. Calling it twice is allowed.
    async fn close(&self) -> Result<(), BrokerError>;
}
