//! The dispatcher: gives each delivery a slot, and its verdict to the settler.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use crate::status::Counted;

/// One delivery with its means to be told to stop.
pub(crate) type Held = (Delivery, Arc<Interrupt>);

/// The deliveries of one answer.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) received: Instant,
    pub(crate) held: Vec<Held>,
}

/// Starts deliveries in order, each as soon as there is a slot. A Tokio task that has run one goes on
/// with the next that waits, on the same slot: to wake somebody for each would cost more than a short job.
pub(crate) struct Dispatch {
    pub(crate) broker: Guarded,
    pub(crate) executor: Executor,
    pub(crate) hand: Arc<Hand>,
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) concluded: mpsc::Sender<Concluded>,
    pub(crate) slots: Arc<Semaphore>,
    /// What waits for a slot.
    pub(crate) waiting: Waiting,
    /// Suspects that wait for a slot: whoever has one gives it back, for them to have a turn. They need
    /// not wait behind what was taken in before them, because at most one of them asks at a time.
    pub(crate) asking: AtomicUsize,
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

/// After so long on a thread of the runtime, jobs that never wait let others have it: timers, connections,
/// and the other parts of the worker.
const TURN: Duration = Duration::from_micros(500);

/// Deliveries that found no slot yet, the oldest first, each with the time until which it waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<(Held, Instant)>>);

impl Waiting {
    fn add(&self, held: impl IntoIterator<Item = Held>, until: Instant) {
        self.lock().extend(held.into_iter().map(|held| (held, until)));
    }

    fn take(&self) -> Option<Held> {
        self.lock().pop_front().map(|(held, _)| held)
    }

    /// Takes the first, if it has waited for long enough.
    fn take_late(&self, now: Instant) -> Option<Held> {
        self.lock().pop_front_if(|(_, until)| *until <= now).map(|(held, _)| held)
    }

    /// Until when the first waits.
    fn until(&self) -> Option<Instant> {
        self.lock().front().map(|(_, until)| *until)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Held, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dispatch {
    /// Starts deliveries until the fetch loop has ended.
    pub(crate) async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>) {
        let mut is_open = true;
        loop {
            let until = self.waiting.until();
            let slot = async {
                match until {
                    Some(until) => tokio::time::timeout_at(until, self.permit(&self.slots)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                batch = batches.recv(), if is_open => match batch {
                    Some(batch) => self.take_in(batch),
                    None => is_open = false,
                },
                slot = slot, if until.is_some() => match slot {
                    Ok(Some(slot)) => self.start(slot),
                    // It stops.
                    Ok(None) => while let Some(held) = self.waiting.take() {
                        self.release(held).await;
                    },
                    Err(_) => while let Some(held) = self.waiting.take_late(Instant::now()) {
                        self.hand.note_slow();
                        self.release(held).await;
                    },
                },
                else => return,
            }
        }
    }

    fn take_in(self: &Arc<Self>, batch: Batch) {
        let (suspects, others): (Vec<_>, Vec<_>) =
            batch.held.into_iter().partition(|(delivery, _)| delivery.suspect);
        self.waiting.add(others, batch.received + HOLD);
        for (delivery, interrupt) in suspects {
            let this = self.clone();
            self.running.spawn(async move { this.run_suspect(delivery, interrupt).await });
        }
    }

    /// Runs what waits on a slot, as long as something does.
    fn start(self: &Arc<Self>, slot: OwnedSemaphorePermit) {
        let Some(first) = self.waiting.take() else { return };
        let this = self.clone();
        self.running.spawn(async move {
            let (mut next, mut slot) = (Some(first), Some(slot));
            let mut turn = std::time::Instant::now();
            while let Some((delivery, interrupt)) = next {
                let verdict = this.run_unless_interrupted(&delivery, &interrupt, &mut slot).await;
                this.conclude(delivery, &interrupt, verdict).await;
                if turn.elapsed() >= TURN {
                    tokio::task::yield_now().await;
                    turn = std::time::Instant::now();
                }
                let goes_on = slot.is_some()
                    && this.asking.load(Ordering::SeqCst) == 0
                    && !this.stop.is_cancelled();
                next = if goes_on { this.waiting.take() } else { None };
            }
        });
    }

    /// Gives a delivery back that did not run.
    async fn release(&self, (delivery, interrupt): Held) {
        self.conclude(delivery, &interrupt, Some(Verdict::Release)).await;
    }

    async fn run_suspect(&self, delivery: Delivery, interrupt: Arc<Interrupt>) {
        let verdict = self.suspect_verdict(&delivery, &interrupt).await;
        self.conclude(delivery, &interrupt, verdict).await;
    }

    async fn suspect_verdict(&self, delivery: &Delivery, interrupt: &Interrupt) -> Option<Verdict> {
        let Some(_alone) = self.turn(&delivery.queue).await else { return Some(Verdict::Release) };
        let asking = Counted::new(&self.asking);
        let Some(slot) = self.permit(&self.slots).await else { return Some(Verdict::Release) };
        drop(asking);
        if let Some(reason) = interrupt.reason() {
            return without_a_run(reason);
        }
        match self.broker.begin(&delivery.receipt).await {
            Ok(Settled::Applied) => {
                self.executor.verdict(delivery, interrupt, &mut Some(slot)).await
            }
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
        slot: &mut Option<OwnedSemaphorePermit>,
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
