//! [`StoreClock`]: the clock that decides due times and the ends of leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use taskcore::Clock;

/// This machine's clock, corrected by how much the server's is ahead. Transactions ask the server;
/// who only reads or waits uses what the last of them has seen.
#[derive(Debug, Clone)]
pub(crate) struct StoreClock {
    clock: Clock,
    ahead_ms: Arc<AtomicI64>,
}

impl StoreClock {
    pub(crate) fn of(clock: Clock) -> Self {
        Self { clock, ahead_ms: Arc::default() }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// The server says that it is this time now; answers it as tests have moved it.
    pub(crate) fn adjust(&self, server_ms: i64) -> i64 {
        let ahead_ms = server_ms.saturating_sub(Clock::system().now_ms());
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        self.now_ms()
    }

    /// How far tests have moved it.
    pub(crate) fn moved_ms(&self) -> i64 {
        self.clock.now_ms().saturating_sub(Clock::system().now_ms())
    }

    /// Sleeps until it is this time, or the clock was moved. Cancel-safe.
    pub(crate) async fn sleep_until_ms(&self, at_ms: i64) {
        let at_ms = at_ms.saturating_sub(self.ahead_ms.load(Ordering::Relaxed));
        self.clock.sleep_until_ms(at_ms).await;
    }
}
