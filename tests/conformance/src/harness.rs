//! [`Harness`]: what the suite needs to know of a broker.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use taskcore::broker::Connection;

/// One empty store for one case, and its time.
///
/// The suite makes a new value for each case; no two values share a job.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Another, independent connection to the store of this value: closing one leaves the
    /// others open. The store lives as long as this value, whatever is closed.
    async fn connect(&self) -> Connection;

    /// The unit of time of the cases: leases, delays and retentions are a few of these.
    ///
    /// Long enough that no call takes it, short enough to let it pass: a minute where the
    /// clock can be moved, a second or two where time has to be waited for.
    fn tick(&self) -> Duration;

    /// Lets the broker's time pass by at least `span`.
    ///
    /// With a [`Clock`](taskcore::Clock), `clock.advance(span)`; with a server, waiting, or
    /// shifting what the broker takes for now. Some cases let hours pass.
    async fn elapse(&self, span: Duration);

    /// How many events the store keeps: few, as cases overflow it with one call for each, but at
    /// least 100, as others read them back.
    fn events_kept(&self) -> u64 {
        10_000
    }
}

/// The batch size at which nothing is batched.
pub const ONE: usize = 1;

/// The batch size at which everything is.
pub const MANY: usize = 12;

/// How long a case may take, and how long a case waits for what must happen. Far beyond what
/// a sound broker needs; it turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one case on a runtime of its own.
///
/// # Panics
///
/// If the case does, or if it takes longer than twice [`PATIENCE`].
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system gives a runtime two threads");
    let limit = 2 * PATIENCE;
    let in_time = runtime.block_on(async { tokio::time::timeout(limit, case).await });
    in_time.unwrap_or_else(|_| panic!("the case hangs: it took longer than {limit:?}"));
}
