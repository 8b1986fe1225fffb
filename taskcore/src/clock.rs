//! [`Clock`]: the one source of "now" for brokers that run in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The clock of a broker that lives in this process (memory, SQLite): the system's, which
/// tests can move forward.
///
/// Clones share the offset. Brokers with a server use the server's clock instead.
#[derive(Debug, Clone)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Milliseconds that tests have added.
    offset: AtomicI64,
    /// Counts the moves; whoever sleeps until an instant of this clock watches it.
    moves: watch::Sender<u64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        let shared = Shared { offset: AtomicI64::new(0), moves: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.shared.offset.load(Ordering::SeqCst))
    }

    /// The time now in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// A reading that never goes back or jumps, but when this clock is moved: for spans.
    #[must_use]
    pub fn instant(&self) -> Instant {
        let offset = self.shared.offset.load(Ordering::SeqCst);
        Instant::now() + Duration::from_millis(u64::try_from(offset).unwrap_or(0))
    }

    /// Moves this clock forward, in whole milliseconds, and wakes who sleeps by it.
    pub fn advance(&self, span: Duration) {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.shared.offset.fetch_add(span, Ordering::SeqCst);
        self.shared.moves.send_modify(|moves| *moves += 1);
    }

    /// Sleeps until this clock shows `at_ms` or was moved.
    ///
    /// Cancel-safe. May return early; the caller checks the time again.
    pub async fn sleep_until_ms(&self, at_ms: i64) {
        let mut moves = self.shared.moves.subscribe();
        let left = at_ms.saturating_sub(self.now_ms());
        let Ok(left) = u64::try_from(left) else { return };
        let sleep = tokio::time::sleep(Duration::from_millis(left));
        tokio::select! {
            () = sleep => {}
            // The sender lives in `self`, so the channel is open.
            _ = moves.changed() => {}
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}
