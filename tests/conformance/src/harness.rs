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

    /// Lets leases come nearer to their end by at least `span`: the same, but where leases have a
    /// clock of their own, and only what is due has to be waited for.
    async fn elapse_leases(&self, span: Duration) {
        self.elapse(span).await;
    }

    /// How many events the store keeps: few, as cases overflow it with one call for each, but at
    /// least 100, as others read them back.
    fn events_kept(&self) -> u64 {
        10_000
    }

    /// How long a case that finds nothing waits before it believes it; asked of a
    /// [`Transport`] only, where jobs travel. Its resolution and how late it may be.
    fn lag(&self) -> Duration {
        Duration::from_millis(400)
    }

    /// Set by [`Transport`], not by hand.
    #[doc(hidden)]
    fn is_transport(&self) -> bool {
        false
    }
}

/// A harness of a broker that carries jobs and keeps nothing of them but those that failed:
/// `suite! { transport, harness: … }` makes it.
///
/// The cases see of a job what such a broker can tell: what is handed out, what calls answer, the
/// counts of a queue's ready and failed jobs, and the records of failed ones. Besides the contract
/// they hold it to this:
///
/// - Leases belong to a connection and its duplicates, which alone can extend them, settle them
///   and take them back. Closing a connection gives back at once what it had leased.
/// - What was stored together comes in order; a job that comes again (released, snoozed, reclaimed,
///   retried, replayed) may go behind its neighbours.
/// - What is due comes at most `capabilities().due_resolution` and 300 ms late.
/// - Inputs, unique keys, continuations, cancels, pauses and records of jobs that have not failed
///   are [`Unsupported`](taskcore::broker::BrokerError::Unsupported), and a call that asks for one
///   has no effect.
///
/// Where time has to be waited for, the tick is at least five times the [lag](Harness::lag), and
/// better seven times.
#[derive(Debug)]
pub struct Transport<H>(pub H);

#[async_trait]
impl<H: Harness> Harness for Transport<H> {
    async fn connect(&self) -> Connection {
        self.0.connect().await
    }

    fn tick(&self) -> Duration {
        self.0.tick()
    }

    async fn elapse(&self, span: Duration) {
        self.0.elapse(span).await;
    }

    async fn elapse_leases(&self, span: Duration) {
        self.0.elapse_leases(span).await;
    }

    fn lag(&self) -> Duration {
        self.0.lag()
    }

    fn events_kept(&self) -> u64 {
        self.0.events_kept()
    }

    fn is_transport(&self) -> bool {
        true
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
