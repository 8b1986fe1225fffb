//! [`MemoryBroker`]: one connection to a store in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskcore::broker::{
    Broker, BrokerError, Cancelled, Capabilities, Connection, Cursor, Delivery, Depth, Enqueued,
    Extended, Maintain, NewJob, NewSchedule, OverLimit, Receipt, Reserve, Settled, Settlement,
    Upkeep,
};
use taskcore::{Clock, JobId, QueueName};
use tokio_util::sync::CancellationToken;

use crate::ended::IdLog;
use crate::signal::Signal;
use crate::state::State;
use crate::store::Store;
use taskcore::broker::millis::later;

/// One connection to a store in this process.
///
/// The store lives as long as one of its connections. Closing one leaves the others open.
#[derive(Debug)]
pub struct MemoryBroker {
    store: Arc<Store>,
    pub(crate) closed: CancellationToken,
}

impl MemoryBroker {
    pub(crate) const NAME: &'static str = "memory";

    const CAPABILITIES: Capabilities = Capabilities {
        dedupe: true,
        results: true,
        unique: true,
        durable: false,
        // Bounds how long one call holds the lock.
        max_batch: 100_000,
        enqueues_at_once: 1,
        max_envelope: 256 * 1024 * 1024,
        due_resolution: Duration::from_millis(1),
        longest_run: None,
    };

    /// From the contracts of `finished` and `cancelled`.
    const MAX_IDS: usize = 10_000;

    /// An empty store, by the system's clock.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two defaults would be two stores")]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty store, by a clock that tests can move.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self::to(Arc::new(Store::new(clock)))
    }

    /// Another connection to the same store, which is closed on its own.
    #[must_use]
    pub fn connection(&self) -> Connection {
        let broker = Arc::new(Self::to(self.store.clone()));
        Connection::of(broker.clone()).with_outbox(broker)
    }

    /// The same store, which keeps the latest `count` events from now on, instead of 10,000. With
    /// 0 it keeps none, and whoever asks is told how many were missed.
    #[must_use]
    pub fn keeping_events(self, count: usize) -> Self {
        self.store.step(|state, _| state.past.keep(count));
        self
    }

    pub(crate) fn to(store: Arc<Store>) -> Self {
        Self { store, closed: CancellationToken::new() }
    }

    /// Runs one atomic step, unless this connection is closed.
    pub(crate) fn step<T>(
        &self,
        step: impl FnOnce(&mut State, i64) -> T,
    ) -> Result<T, BrokerError> {
        Ok(self.open()?.step(step))
    }

    /// The store, unless this connection is closed.
    pub(crate) fn open(&self) -> Result<&Store, BrokerError> {
        if self.closed.is_cancelled() {
            return Err(BrokerError::Closed { broker: Self::NAME });
        }
        Ok(&self.store)
    }

    /// What a log holds after a cursor, waiting for its bell at most so long for the first.
    pub(crate) async fn read(
        &self,
        bell: fn(&Store) -> &Signal,
        log: fn(&State) -> &IdLog,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<(Vec<JobId>, Cursor), BrokerError> {
        let Some(Cursor(from)) = after else {
            return self.step(|state, _| (Vec::new(), Cursor(log(state).next())));
        };
        self.look(bell, wait, |state, _| {
            let (ids, next) = log(state).since(from, Self::MAX_IDS);
            let is_there = !ids.is_empty();
            ((ids, Cursor(next)), is_there)
        })
        .await
    }

    /// Looks, at each ring of a bell, until `look` says that what it found is what was waited
    /// for, at most so long.
    pub(crate) async fn look<T>(
        &self,
        bell: fn(&Store) -> &Signal,
        wait: Duration,
        look: impl Fn(&State, i64) -> (T, bool) + Send,
    ) -> Result<T, BrokerError> {
        let store = self.open()?;
        let over_ms = later(store.clock.now_ms(), wait);
        let mut rings = bell(store).listen();
        loop {
            let ((found, is_there), now_ms) =
                store.step(|state, now_ms| (look(state, now_ms), now_ms));
            if is_there || now_ms >= over_ms || self.closed.is_cancelled() {
                return Ok(found);
            }
            rings.wait(&store.clock, over_ms, [&self.closed; 2]).await;
        }
    }

    /// What no job could be made of is refused before it is due.
    pub(crate) fn check_templates(batch: &[NewSchedule]) -> Result<(), BrokerError> {
        let check = |NewSchedule { template, .. }: &NewSchedule| {
            Self::CAPABILITIES.check_job(&template.task, &template.envelope)
        };
        batch.iter().try_for_each(check).map_err(refused)
    }

    pub(crate) fn check_limits(batch: &[NewJob]) -> Result<(), BrokerError> {
        Self::CAPABILITIES.check(batch).map_err(refused)
    }
}

/// As the answer of this broker.
pub(crate) fn refused(limit: OverLimit) -> BrokerError {
    limit.of_broker(MemoryBroker::NAME)
}

#[async_trait]
impl Broker for MemoryBroker {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.open()?;
        Ok(Arc::new(Self::to(self.store.clone())))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        Self::check_limits(batch)?;
        self.step(|state, now_ms| state.enqueue(batch, now_ms))
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let store = self.open()?;
        let over_ms = later(store.clock.now_ms(), request.wait);
        let mut work = store.work.listen();
        loop {
            let (deliveries, next_due_ms, now_ms) = store.step(|state, now_ms| {
                (state.claim(request, now_ms), state.next_due_ms(request), now_ms)
            });
            let is_over =
                now_ms >= over_ms || request.interrupt.is_cancelled() || self.closed.is_cancelled();
            if is_over || !deliveries.is_empty() {
                return Ok(deliveries);
            }
            let until_ms = next_due_ms.map_or(over_ms, |due_ms| due_ms.min(over_ms));
            work.wait(&store.clock, until_ms, [&request.interrupt, &self.closed]).await;
        }
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.step(|state, now_ms| state.begin(receipt, now_ms))
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.step(|state, now_ms| state.settle(batch, now_ms))
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.step(|state, now_ms| state.extend(receipts, lease, now_ms))
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        let (ids, next) =
            self.read(|store| &store.cancels, |state| &state.cancelled, after, wait).await?;
        Ok(Cancelled { ids, next })
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.step(|state, now_ms| state.maintain(maintain, now_ms))
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.step(|state, now_ms| state.depths(queues, now_ms))
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.closed.cancel();
        Ok(())
    }
}
