//! [`Hand`]: what this worker holds, from hand-out to settled verdict.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taskcore::broker::{Delivery, Receipt};
use taskcore::{JobId, QueueName};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The deliveries in hand. The fetch adds them, the executor ends them, the settler removes
/// them; the heartbeat reads them.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    state: Mutex<State>,
    /// Rings when a delivery is ended, and when leases are given up, while fewer are open than
    /// [are wanted](Self::want_below).
    pub(crate) changed: Notify,
    wanted_below: AtomicUsize,
    /// Deliveries ended so far.
    ended: AtomicU64,
    /// Deliveries went back because they found no slot.
    is_slow: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Deliveries that have no verdict yet.
    open: usize,
    open_by_queue: HashMap<QueueName, usize>,
    /// Deliveries whose verdict is not settled yet: their leases are renewed.
    leases: HashMap<Receipt, Lease>,
}

#[derive(Debug)]
struct Lease {
    job: JobId,
    interrupt: Arc<Interrupt>,
}

/// Tells a running job to stop, and why.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    pub(crate) token: CancellationToken,
    reason: AtomicU8,
    /// The delivery has its verdict, so its lease may end at any moment.
    is_concluded: AtomicBool,
    /// The task has tried to end its delivery itself, in a transaction; so may its lease.
    pub(crate) completing: Arc<AtomicBool>,
}

/// Why a job was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The worker stops: the job goes back unless it finishes in time.
    Stopping = 1,
    /// Somebody cancelled the job.
    Cancelled = 2,
    /// The job is no longer this worker's.
    Lost = 3,
    /// Nobody reads its stream, which is made on demand.
    Abandoned = 4,
}

impl Interrupt {
    /// Tells the job to stop; the first reason stays.
    pub(crate) fn fire(&self, reason: Reason) {
        let first =
            self.reason.compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            self.token.cancel();
        }
    }

    /// Notes that the delivery has its verdict.
    pub(crate) fn conclude(&self) {
        self.is_concluded.store(true, Ordering::SeqCst);
    }

    fn is_concluded(&self) -> bool {
        self.is_concluded.load(Ordering::SeqCst) || self.is_completing()
    }

    fn is_completing(&self) -> bool {
        self.completing.load(Ordering::SeqCst)
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.reason.load(Ordering::SeqCst) {
            1 => Some(Reason::Stopping),
            2 => Some(Reason::Cancelled),
            3 => Some(Reason::Lost),
            4 => Some(Reason::Abandoned),
            _ => None,
        }
    }
}

impl Hand {
    /// Takes deliveries in.
    pub(crate) fn add(&self, deliveries: &[Delivery]) -> Vec<Arc<Interrupt>> {
        let mut state = self.lock();
        state.open += deliveries.len();
        deliveries
            .iter()
            .map(|delivery| {
                match state.open_by_queue.get_mut(&delivery.queue) {
                    Some(open) => *open += 1,
                    None => drop(state.open_by_queue.insert(delivery.queue.clone(), 1)),
                }
                let interrupt = Arc::<Interrupt>::default();
                let lease = Lease { job: delivery.job, interrupt: interrupt.clone() };
                state.leases.insert(delivery.receipt.clone(), lease);
                interrupt
            })
            .collect()
    }

    /// Says below how many open deliveries a change is of interest. To be said before one looks, because
    /// changes of no interest are not told.
    pub(crate) fn want_below(&self, open: usize) {
        self.wanted_below.store(open, Ordering::SeqCst);
    }

    /// Ends a delivery: it has its verdict, or will get none.
    pub(crate) fn end(&self, queue: &QueueName) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.count_out(queue);
    }

    fn count_out(&self, queue: &QueueName) {
        let mut state = self.lock();
        state.open -= 1;
        if let Some(open) = state.open_by_queue.get_mut(queue) {
            *open -= 1;
        }
        self.tell(state);
    }

    /// Tells of a change, after it was made.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let open = state.open;
        drop(state);
        if open < self.wanted_below.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Holds a delivery without counting it, while it waits for something else than a slot.
    pub(crate) fn set_aside(&self, queue: &QueueName) {
        self.count_out(queue);
    }

    /// Counts a delivery that was set aside again.
    pub(crate) fn take_up(&self, queue: &QueueName) {
        let mut state = self.lock();
        state.open += 1;
        *state.open_by_queue.entry(queue.clone()).or_default() += 1;
    }

    /// Notes that deliveries go back because they found no slot.
    pub(crate) fn note_slow(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// Whether deliveries went back since the last question.
    pub(crate) fn take_slow(&self) -> bool {
        self.is_slow.swap(false, Ordering::SeqCst)
    }

    /// Gives up leases: settled, or lost.
    pub(crate) fn give_up<'a>(&self, receipts: impl IntoIterator<Item = &'a Receipt>) {
        let mut state = self.lock();
        for receipt in receipts {
            state.leases.remove(receipt);
        }
        self.tell(state);
    }

    /// Whether nothing is held at all: every verdict is settled.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.open == 0 && state.leases.is_empty()
    }

    /// Whether the task of this delivery has tried to end it itself.
    pub(crate) fn is_completing(&self, receipt: &Receipt) -> bool {
        self.lock().leases.get(receipt).is_some_and(|lease| lease.interrupt.is_completing())
    }

    /// The leases to renew.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.lock().leases.keys().cloned().collect()
    }

    /// Tells one job to stop; false if it has its verdict already, or is not in hand any more.
    pub(crate) fn interrupt(&self, receipt: &Receipt, reason: Reason) -> bool {
        let interrupt = self.lock().leases.get(receipt).map(|lease| lease.interrupt.clone());
        let running = interrupt.filter(|it| !it.is_concluded());
        running.inspect(|interrupt| interrupt.fire(reason)).is_some()
    }

    /// Tells these jobs to stop, as far as they are in hand and have no verdict yet.
    pub(crate) fn interrupt_jobs(&self, jobs: &[JobId], reason: Reason) {
        if jobs.is_empty() {
            return;
        }
        let jobs: HashSet<&JobId> = jobs.iter().collect();
        let interrupts = self.interrupts(|lease| jobs.contains(&lease.job));
        interrupts.iter().filter(|it| !it.is_concluded()).for_each(|it| it.fire(reason));
    }

    /// Tells every job to stop.
    pub(crate) fn interrupt_all(&self, reason: Reason) {
        self.interrupts(|_| true).iter().for_each(|interrupt| interrupt.fire(reason));
    }

    /// Those of some leases; they are fired outside of the lock.
    fn interrupts(&self, which: impl Fn(&Lease) -> bool) -> Vec<Arc<Interrupt>> {
        let state = self.lock();
        let leases = state.leases.values().filter(|lease| which(lease));
        leases.map(|lease| lease.interrupt.clone()).collect()
    }

    /// Deliveries without a verdict.
    pub(crate) fn open(&self) -> usize {
        self.lock().open
    }

    /// Deliveries of one queue without a verdict.
    pub(crate) fn open_of(&self, queue: &QueueName) -> usize {
        self.lock().open_by_queue.get(queue).copied().unwrap_or(0)
    }

    /// Deliveries ended since the start.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
