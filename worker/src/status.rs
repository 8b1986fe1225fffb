//! [`Status`]: what a worker says of itself.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use taskcore::broker::Verdict;

/// What a worker says of itself, so that an idle one can say why.
#[derive(Debug, Default)]
pub struct Status {
    /// The fetch loop is between its start and its end.
    fetching: AtomicBool,
    /// When the fetch loop last had an answer or an error, ms since 1970; 0 is never.
    last_fetch: AtomicI64,
    /// When the fetch loop last got a job.
    last_delivery: AtomicI64,
    /// When a wait of the fetch loop last ended before its time.
    last_wake: AtomicI64,
    /// When the fetch loop last failed, cleared by the next answer.
    failing_since: AtomicI64,
    /// Jobs that run.
    running: AtomicUsize,
    /// Plain functions past their deadline whose thread has not returned.
    stuck: AtomicUsize,
    /// A job was past its time-out and would not go, so the worker stopped.
    ends_stuck: AtomicBool,
    /// Verdicts that came too late.
    stale: AtomicU64,
    /// Deliveries so far.
    taken: AtomicU64,
    /// Deliveries that ended as done, to be retried, and as failed.
    done: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
}

/// A copy of a [`Status`] at one moment.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whether the fetch loop is alive: it runs, and answered within the last
    /// [`Status::FETCH_LIMIT`].
    pub is_fetching: bool,
    /// When the fetch loop last had an answer.
    pub last_fetch: Option<Timestamp>,
    /// When the fetch loop last got a job.
    pub last_delivery: Option<Timestamp>,
    /// When the fetch loop was last woken: its wait ended before its time, with a job or without.
    pub last_wake: Option<Timestamp>,
    /// Since when the broker does not answer.
    pub failing_since: Option<Timestamp>,
    /// Jobs that run.
    pub running: usize,
    /// Slots held by plain functions that do not stop.
    pub stuck: usize,
    /// Whether the worker stopped because a job was past its time-out and would not go.
    pub ends_stuck: bool,
    /// Verdicts that came too late.
    pub stale: u64,
    /// Jobs that it was handed, since the start.
    pub taken: u64,
    /// Deliveries that succeeded, since the start.
    pub done: u64,
    /// Deliveries that failed and will be retried.
    pub retried: u64,
    /// Deliveries that failed for good.
    pub failed: u64,
}

impl Status {
    /// A fetch loop that has not answered for this long is dead: one wait, one deadline of the
    /// broker call, and some.
    pub const FETCH_LIMIT: Duration = Duration::from_secs(60);

    /// How things are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let last_fetch = time(&self.last_fetch);
        let is_recent = last_fetch.is_some_and(|at| {
            Timestamp::now().duration_since(at)
                < SignedDuration::from_secs(Self::FETCH_LIMIT.as_secs().cast_signed())
        });
        Snapshot {
            is_fetching: self.fetching.load(Ordering::SeqCst) && is_recent,
            last_fetch,
            last_delivery: time(&self.last_delivery),
            last_wake: time(&self.last_wake),
            failing_since: time(&self.failing_since),
            running: self.running.load(Ordering::SeqCst),
            stuck: self.stuck.load(Ordering::SeqCst),
            ends_stuck: self.ends_stuck.load(Ordering::SeqCst),
            stale: self.stale.load(Ordering::SeqCst),
            taken: self.taken.load(Ordering::SeqCst),
            done: self.done.load(Ordering::SeqCst),
            retried: self.retried.load(Ordering::SeqCst),
            failed: self.failed.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn ended(&self, verdict: Option<&Verdict>) {
        let counter = match verdict {
            // The attempt succeeded, whatever continues the job.
            Some(Verdict::Done { .. } | Verdict::Continued { .. }) => &self.done,
            Some(Verdict::Retry { .. }) => &self.retried,
            Some(Verdict::Failed { .. }) => &self.failed,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetch_started(&self) {
        self.fetching.store(true, Ordering::SeqCst);
        self.last_fetch.store(now(), Ordering::SeqCst);
    }

    pub(crate) fn fetch_ended(&self) {
        self.fetching.store(false, Ordering::SeqCst);
    }

    pub(crate) fn fetched(&self, deliveries: usize) {
        let now = now();
        self.last_fetch.store(now, Ordering::SeqCst);
        self.failing_since.store(0, Ordering::SeqCst);
        if deliveries > 0 {
            self.taken.fetch_add(deliveries as u64, Ordering::SeqCst);
            self.last_delivery.store(now, Ordering::SeqCst);
        }
    }

    pub(crate) fn woken(&self) {
        self.last_wake.store(now(), Ordering::SeqCst);
    }

    pub(crate) fn fetch_failed(&self) {
        // Only the first failure counts as the start.
        let _ = self.failing_since.compare_exchange(0, now(), Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Counts a running job until the guard is dropped.
    pub(crate) fn runs(&self) -> Counted<'_> {
        Counted::new(&self.running)
    }

    /// Counts a plain function that does not stop.
    pub(crate) fn end_stuck(&self) {
        self.ends_stuck.store(true, Ordering::SeqCst);
    }

    pub(crate) fn stuck(&self) -> &AtomicUsize {
        &self.stuck
    }

    pub(crate) fn add_stale(&self, count: u64) {
        self.stale.fetch_add(count, Ordering::SeqCst);
    }
}

/// Counts one until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(crate) fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn time(ms: &AtomicI64) -> Option<Timestamp> {
    match ms.load(Ordering::SeqCst) {
        0 => None,
        ms => Timestamp::from_millisecond(ms).ok(),
    }
}
