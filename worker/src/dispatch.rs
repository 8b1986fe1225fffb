//! The dispatcher: gives each delivery a slot, and its verdict to the settler.

use std::sync::Arc;
use std::time::Duration;

use taskcore::QueueName;
use taskcore::broker::{Broker, Delivery, Guarded, Settled, Settlement, Verdict};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::execute::Executor;
use crate::hand::{Hand, Interrupt, Reason};
use crate::report;
use crate::settle::{Concluded, Run};

/// One delivery with its means to be told to stop.
pub(crate) type Held = (Delivery, Arc<Interrupt>);

/// The deliveries of one answer.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) received: Instant,
    pub(crate) held: Vec<Held>,
}

/// Starts deliveries in order, each as soon as there is a slot.
pub(crate) struct Dispatch {
    pub(crate) broker: Guarded,
    pub(crate) executor: Executor,
    pub(crate) hand: Arc<Hand>,
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) concluded: mpsc::Sender<Concluded>,
    pub(crate) slots: Arc<Semaphore>,
    /// Suspects run one at a time, so that the loss of one condemns no other.
    pub(crate) suspects: Arc<Semaphore>,
    /// How many suspects may wait for their turn beside the slots; more than these count as
    /// in hand, so that a worker does not collect a queue of them.
    pub(crate) set_aside: Arc<Semaphore>,
    /// Every job under way.
    pub(crate) running: TaskTracker,
}

/// A delivery that found no slot for this long goes back: another worker may be idle, and what
/// is held here can neither be cancelled before it starts nor expire. The reserve was learnt
/// from shorter jobs.
const HOLD: Duration = Duration::from_secs(1);

impl Dispatch {
    /// Starts deliveries until the fetch loop has ended.
    pub(crate) async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let until = batch.received + HOLD;
            for held in batch.held {
                self.start(held, until).await;
            }
        }
    }

    async fn start(self: &Arc<Self>, (delivery, interrupt): Held, until: Instant) {
        let this = self.clone();
        if delivery.suspect {
            self.running.spawn(async move { this.run_suspect(delivery, interrupt).await });
            return;
        }
        let slot = tokio::time::timeout_at(until, self.permit(&self.slots)).await;
        let slot = slot.unwrap_or_else(|_| {
            self.hand.note_slow();
            None
        });
        let Some(slot) = slot else {
            return self.conclude(delivery, &interrupt, Some(Verdict::Release)).await;
        };
        self.running.spawn(async move {
            let verdict = this.run_unless_interrupted(&delivery, &interrupt, slot).await;
            this.conclude(delivery, &interrupt, verdict).await;
        });
    }

    async fn run_suspect(&self, delivery: Delivery, interrupt: Arc<Interrupt>) {
        let verdict = self.suspect_verdict(&delivery, &interrupt).await;
        self.conclude(delivery, &interrupt, verdict).await;
    }

    async fn suspect_verdict(&self, delivery: &Delivery, interrupt: &Interrupt) -> Option<Verdict> {
        let Some(_alone) = self.turn(&delivery.queue).await else { return Some(Verdict::Release) };
        let Some(slot) = self.permit(&self.slots).await else { return Some(Verdict::Release) };
        if let Some(reason) = interrupt.reason() {
            return without_a_run(reason);
        }
        match self.broker.begin(&delivery.receipt).await {
            Ok(Settled::Applied) => self.executor.verdict(delivery, interrupt, slot).await,
            Ok(Settled::Stale) => None,
            Err(error) => {
                report::cannot_begin(delivery, &error);
                Some(Verdict::Release)
            }
        }
    }

    /// The right to run a suspect. One that waits for it takes no room of other jobs.
    async fn turn(&self, queue: &QueueName) -> Option<OwnedSemaphorePermit> {
        let Ok(_aside) = self.set_aside.clone().try_acquire_owned() else {
            return self.permit(&self.suspects).await;
        };
        self.hand.set_aside(queue);
        let turn = self.permit(&self.suspects).await;
        self.hand.take_up(queue);
        turn
    }

    async fn run_unless_interrupted(
        &self,
        delivery: &Delivery,
        interrupt: &Interrupt,
        slot: OwnedSemaphorePermit,
    ) -> Option<Verdict> {
        match interrupt.reason() {
            Some(reason) => without_a_run(reason),
            None => self.executor.verdict(delivery, interrupt, slot).await,
        }
    }

    /// A permit, unless the worker stops first.
    async fn permit(&self, permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if self.stop.is_cancelled() {
            return None;
        }
        // Most often there is one, and nothing to wait for.
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            permit = permits.clone().acquire_owned() => permit.ok(),
        }
    }

    /// Hands the verdict to the settler; without one the lease is given up.
    async fn conclude(&self, delivery: Delivery, interrupt: &Interrupt, verdict: Option<Verdict>) {
        interrupt.conclude();
        let Delivery { job, receipt, queue, task, attempt, .. } = delivery;
        match verdict {
            Some(verdict) => {
                let settlement = Settlement { job, receipt, verdict };
                let concluded = Concluded { settlement, run: Run { task, attempt } };
                tokio::select! {
                    biased;
                    // The settler ends after the last of these, so the channel is open.
                    _ = self.concluded.send(concluded) => {}
                    // It is full because the broker takes no verdicts, and nobody waits any more.
                    () = self.abort.cancelled() => report::verdict_dropped(job),
                }
            }
            None => self.hand.give_up([&receipt]),
        }
        self.hand.end(&queue);
    }
}

/// What becomes of a delivery that was interrupted before it started.
fn without_a_run(reason: Reason) -> Option<Verdict> {
    match reason {
        Reason::Stopping => Some(Verdict::Release),
        Reason::Abandoned => Some(Verdict::Cancelled),
        // The store knows already, and would refuse a verdict.
        Reason::Cancelled | Reason::Lost => None,
    }
}
