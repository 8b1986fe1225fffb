//! [`Wake`], [`Watch`] and [`Share`]: who waits learns of commits, in this process and in others.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::server_clock::StoreClock;

/// A bell that rings after commits. Rings are hints: who waits looks for itself, and looks
/// again after a while without one.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    rings: watch::Sender<u64>,
    /// For those who wait for jobs: rings with the other, and also when jobs were stored, which is nothing
    /// to those who wait for ends.
    job_rings: watch::Sender<u64>,
    /// For readers of events and reports: rings with both, and also when jobs were handed out
    /// or have said something, which is nothing to workers.
    reader_rings: watch::Sender<u64>,
    /// What whoever rings for workers does first.
    #[cfg(feature = "postgres")]
    at_ring: Mutex<AtRing>,
    listeners: Mutex<usize>,
    joined: Condvar,
    /// Whether commits of others are not heard of now.
    is_deaf: AtomicBool,
}

/// How this process learns of the commits of others.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) wake: Arc<Wake>,
    pub(crate) source: Source,
    /// `None` where nothing is listened to, or no more.
    ear: Mutex<Option<Box<dyn Ear>>>,
    shares: AtomicUsize,
}

/// What listens for the commits of others, as long as it is not closed or dropped.
#[async_trait]
pub(crate) trait Ear: Debug + Send + Sync {
    /// Ends it, and waits until it has let go of the store.
    async fn close(self: Box<Self>);
}

/// An open store's share in a watch, which ends with the last of them.
#[derive(Debug)]
pub(crate) struct Share {
    watch: Arc<Watch>,
    has_left: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// There are no other processes.
    Alone,
    /// An ear hears of commits.
    Listening,
    /// Looking again and again, because of this.
    Polling(String),
}

/// What is to be done at the next ring, each with a number by which it is called off.
#[cfg(feature = "postgres")]
#[derive(Default)]
struct AtRing {
    calls: Vec<(u64, Box<dyn FnOnce() + Send>)>,
    last: u64,
}

#[cfg(feature = "postgres")]
impl Debug for AtRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtRing").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

/// Something that is to be done at the next ring. Dropped before, it is called off.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(crate) struct Appointment<'a> {
    wake: &'a Wake,
    number: u64,
}

#[cfg(feature = "postgres")]
impl Drop for Appointment<'_> {
    fn drop(&mut self) {
        self.wake.lock_at_ring().calls.retain(|(number, _)| *number != self.number);
    }
}

impl Wake {
    pub(crate) fn ring(&self) {
        self.ring_for_workers();
        self.rings.send_modify(|rings| *rings += 1);
    }

    pub(crate) fn ring_for_workers(&self) {
        #[cfg(feature = "postgres")]
        {
            let calls = std::mem::take(&mut self.lock_at_ring().calls);
            calls.into_iter().for_each(|(_, call)| call());
        }
        self.job_rings.send_modify(|rings| *rings += 1);
        self.ring_for_readers();
    }

    pub(crate) fn ring_for_readers(&self) {
        self.reader_rings.send_modify(|rings| *rings += 1);
    }

    /// Has something done at the next ring, by the thread that rings: before those who wait are told, and
    /// without the way to a thread of theirs. It may not wait.
    #[cfg(feature = "postgres")]
    pub(crate) fn at_ring(&self, call: impl FnOnce() + Send + 'static) -> Appointment<'_> {
        let mut at_ring = self.lock_at_ring();
        at_ring.last += 1;
        let number = at_ring.last;
        at_ring.calls.push((number, Box::new(call)));
        Appointment { wake: self, number }
    }

    #[cfg(feature = "postgres")]
    fn lock_at_ring(&self) -> MutexGuard<'_, AtRing> {
        self.at_ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether commits of others are heard of. Where they are not, who waits polls.
    #[cfg(feature = "postgres")]
    pub(crate) fn set_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::Relaxed);
    }

    pub(crate) fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Relaxed)
    }

    /// Whether somebody listens, or starts to within `patience`.
    #[cfg(feature = "sqlite")]
    pub(crate) fn has_listener_within(&self, patience: Duration) -> bool {
        let wait = self.joined.wait_timeout_while(self.lock(), patience, |count| *count == 0);
        *wait.unwrap_or_else(PoisonError::into_inner).0 > 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(crate) fn with_ear(wake: Arc<Wake>, ear: Box<dyn Ear>) -> Self {
        let ear = Mutex::new(Some(ear));
        Self { wake, source: Source::Listening, ear, shares: AtomicUsize::new(0) }
    }

    pub(crate) fn without_ear(source: Source) -> Self {
        let wake = Arc::new(Wake::default());
        wake.is_deaf.store(matches!(source, Source::Polling(_)), Ordering::Relaxed);
        Self { wake, source, ear: Mutex::default(), shares: AtomicUsize::new(0) }
    }

    /// Starts to listen for ends and cancels. What is committed from now on ends the next wait.
    pub(crate) fn listen(&self) -> Listener<'_> {
        self.listen_to(&self.wake.rings)
    }

    /// The same for jobs.
    pub(crate) fn listen_for_jobs(&self) -> Listener<'_> {
        self.listen_to(&self.wake.job_rings)
    }

    /// The same for a reader of events or reports.
    pub(crate) fn listen_as_reader(&self) -> Listener<'_> {
        self.listen_to(&self.wake.reader_rings)
    }

    fn listen_to(&self, bell: &watch::Sender<u64>) -> Listener<'_> {
        *self.wake.lock() += 1;
        self.wake.joined.notify_all();
        Listener { wake: &self.wake, rings: bell.subscribe(), pause: FIRST_POLL }
    }
}

impl Share {
    pub(crate) fn of(watch: Arc<Watch>) -> Self {
        watch.shares.fetch_add(1, Ordering::Relaxed);
        Self { watch, has_left: AtomicBool::new(false) }
    }

    pub(crate) fn another(&self) -> Self {
        Self::of(self.watch.clone())
    }

    /// Gives the share back; the last one waits until the watch has let go of the file.
    pub(crate) async fn leave(&self) {
        if let Some(ear) = self.end() {
            ear.close().await;
        }
    }

    fn end(&self) -> Option<Box<dyn Ear>> {
        let is_last = !self.has_left.swap(true, Ordering::Relaxed)
            && self.watch.shares.fetch_sub(1, Ordering::AcqRel) == 1;
        let ear = || self.watch.ear.lock().unwrap_or_else(PoisonError::into_inner).take();
        if is_last { ear() } else { None }
    }
}

impl Deref for Share {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// One who waits.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    wake: &'a Wake,
    rings: watch::Receiver<u64>,
    /// The next one between two looks, where commits are not heard of.
    pause: Duration,
}

impl Listener<'_> {
    /// How often it has rung, whether or not that was waited for.
    #[cfg(feature = "postgres")]
    pub(crate) fn rings(&self) -> u64 {
        *self.rings.borrow()
    }

    /// Waits until it rings, the clock shows `until_ms`, a token fires, or it is time to look
    /// without having been told. Cancel-safe.
    pub(crate) async fn wait(
        &mut self,
        clock: &StoreClock,
        until_ms: i64,
        stops: [&CancellationToken; 2],
    ) {
        // Jitter, so that many processes do not look at the same moment.
        let is_deaf = self.wake.is_deaf();
        let pause = if is_deaf { self.pause } else { RECHECK };
        let pause = pause.mul_f64(rand::random_range(0.8..1.0));
        if is_deaf {
            self.pause = (self.pause * 2).min(LAST_POLL);
        }
        tokio::select! {
            // The sender lives in the store, which this borrows.
            // After news it polls fast again.
            _ = self.rings.changed() => self.pause = FIRST_POLL,
            () = clock.sleep_until_ms(until_ms) => {}
            () = tokio::time::sleep(pause) => {}
            () = stops[0].cancelled() => {}
            () = stops[1].cancelled() => {}
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        *self.wake.lock() -= 1;
    }
}

/// Watched or alone, who waits still looks once in this time: events may get lost.
const RECHECK: Duration = Duration::from_secs(1);

const FIRST_POLL: Duration = Duration::from_millis(10);
const LAST_POLL: Duration = Duration::from_millis(250);
