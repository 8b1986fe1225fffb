//! [`Reference`]: a sound transport, which is the memory broker with all that it keeps out of
//! sight, and with leases that belong to a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskconformance::{Harness, async_trait};
use taskcore::broker::millis::later;
use taskcore::broker::{
    Broker, BrokerError, CancelOutcome, CancelScope, Capabilities, Connection, Delivery, Depth,
    Enqueued, Extended, Finding, JobFilter, JobRecord, JobState, Maintain, NewJob, Operate,
    QueueStatus, Receipt, Reserve, Settled, Settlement, Upkeep, Verdict,
};
use taskcore::{Clock, JobId, QueueName};

/// Queues of jobs, and the failed ones.
pub(crate) struct Reference {
    clock: Clock,
    /// Apart from the store's, as it is where a server knows what is due.
    leases: Clock,
    store: Arc<MemoryBroker>,
    /// Held by who makes leases end in the store and reclaims them, so that nobody reclaims those
    /// of others.
    reclaiming: Arc<tokio::sync::Mutex<()>>,
}

impl Reference {
    pub(crate) fn new() -> Self {
        let clock = Clock::system();
        let store = Arc::new(MemoryBroker::with_clock(clock.clone()));
        Self { clock, leases: Clock::system(), store, reclaiming: Arc::default() }
    }
}

#[async_trait]
impl Harness for Reference {
    async fn connect(&self) -> Connection {
        let carrier = Arc::new(Carrier {
            inner: self.store.connection(),
            outer: self.store.connection(),
            clock: self.leases.clone(),
            reclaiming: self.reclaiming.clone(),
            leases: Arc::default(),
            number: 0,
            numbers: Arc::new(AtomicU64::new(1)),
        });
        Connection {
            broker: carrier.clone(),
            results: None,
            operate: Some(carrier),
            schedules: None,
            reports: None,
            history: None,
            outbox: None,
        }
    }

    fn tick(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn elapse(&self, span: Duration) {
        self.clock.advance(span);
        self.leases.advance(span);
    }

    async fn elapse_leases(&self, span: Duration) {
        self.leases.advance(span);
    }

    fn lag(&self) -> Duration {
        // Nothing travels within a process.
        Duration::from_millis(20)
    }
}

/// One connection. What it and its duplicates lease, the store leases for ever, and they know
/// when it ends.
#[derive(Debug)]
struct Carrier {
    inner: Connection,
    /// Gives back what this connection held when it is closed.
    outer: Connection,
    clock: Clock,
    reclaiming: Arc<tokio::sync::Mutex<()>>,
    /// Shared with the duplicates.
    leases: Arc<Mutex<HashMap<Receipt, Lease>>>,
    /// Which of the connections that share leases this is.
    number: u64,
    numbers: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    job: JobId,
    ends_ms: i64,
    /// The connection that reserved it.
    holder: u64,
}

impl Carrier {
    fn leases(&self) -> MutexGuard<'_, HashMap<Receipt, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check_open(&self) -> Result<(), BrokerError> {
        self.inner.broker.depth(&[]).await.map(drop)
    }

    fn refuse<T>(&self, operation: &'static str) -> Result<T, BrokerError> {
        Err(BrokerError::Unsupported { broker: self.name(), operation })
    }

    fn operate(&self) -> &dyn Operate {
        self.inner.operate.as_deref().expect("the memory broker can be operated")
    }

    /// Takes the lease of a delivery that is settled now, if it has not ended.
    fn take(&self, settlement: &Settlement) -> bool {
        let now_ms = self.clock.now_ms();
        let mut leases = self.leases();
        let lease = leases.get(&settlement.receipt);
        let is_held =
            lease.is_some_and(|lease| lease.job == settlement.job && lease.ends_ms > now_ms);
        if is_held {
            leases.remove(&settlement.receipt);
        }
        is_held
    }

    /// Takes leases that have ended, at most so many.
    fn take_ended(&self, max: usize) -> Vec<Receipt> {
        let now_ms = self.clock.now_ms();
        let mut leases = self.leases();
        let ended = leases.iter().filter(|(_, lease)| lease.ends_ms <= now_ms);
        let ended: Vec<Receipt> = ended.map(|(receipt, _)| receipt.clone()).take(max).collect();
        for receipt in &ended {
            leases.remove(receipt);
        }
        ended
    }

    /// Gives back whatever this connection holds.
    async fn give_back(&self) -> Result<(), BrokerError> {
        let mut held = Vec::new();
        self.leases().retain(|receipt, lease| {
            if lease.holder == self.number {
                let receipt = receipt.clone();
                held.push(Settlement { job: lease.job, receipt, verdict: Verdict::Release });
            }
            lease.holder != self.number
        });
        self.outer.broker.settle(&held).await.map(drop)
    }
}

#[async_trait]
impl Broker for Carrier {
    fn name(&self) -> &'static str {
        self.inner.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: false,
            results: false,
            unique: false,
            durable: true,
            due_resolution: Duration::from_millis(100),
            ..self.inner.broker.capabilities()
        }
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        let broker = self.inner.broker.duplicate().await?;
        Ok(Arc::new(Self {
            inner: Connection { broker, ..self.inner.clone() },
            outer: self.outer.clone(),
            clock: self.clock.clone(),
            reclaiming: self.reclaiming.clone(),
            leases: self.leases.clone(),
            number: self.numbers.fetch_add(1, Ordering::SeqCst),
            numbers: self.numbers.clone(),
        }))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.check_open().await?;
        if batch.iter().any(|job| !job.inputs.is_empty()) {
            return self.refuse("inputs");
        }
        if batch.iter().any(|job| job.unique.is_some()) {
            return self.refuse("unique keys");
        }
        let answers = self.inner.broker.enqueue(batch).await?;
        // Who does not look whether it is there does not know that it is.
        Ok(vec![Enqueued::Stored; answers.len()])
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let for_ever = Reserve { lease: Duration::MAX, ..request.clone() };
        let deliveries = self.inner.broker.reserve(&for_ever).await?;
        let ends_ms = later(self.clock.now_ms(), request.lease);
        self.leases().extend(deliveries.iter().map(|delivery| {
            let lease = Lease { job: delivery.job, ends_ms, holder: self.number };
            (delivery.receipt.clone(), lease)
        }));
        if self.check_open().await.is_err() {
            // It was closed meanwhile, and may have given back before this came.
            self.give_back().await?;
            return Ok(Vec::new());
        }
        Ok(deliveries)
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.check_open().await?;
        let now_ms = self.clock.now_ms();
        let is_held = self.leases().get(receipt).is_some_and(|lease| lease.ends_ms > now_ms);
        if is_held { self.inner.broker.begin(receipt).await } else { Ok(Settled::Stale) }
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.check_open().await?;
        if batch.iter().any(|one| matches!(one.verdict, Verdict::Continued { .. })) {
            return self.refuse("continuations");
        }
        let mut answers = Vec::new();
        for settlement in batch {
            if !self.take(settlement) {
                answers.push(Settled::Stale);
                continue;
            }
            let mut settlement = settlement.clone();
            if matches!(settlement.verdict, Verdict::Release) {
                // Behind its neighbours, as a message that is sent again.
                settlement.verdict = Verdict::Snooze { after: Duration::ZERO };
            }
            answers.extend(self.inner.broker.settle(&[settlement]).await?);
        }
        Ok(answers)
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.check_open().await?;
        let now_ms = self.clock.now_ms();
        let mut leases = self.leases();
        let mut extend = |receipt| match leases.get_mut(receipt) {
            Some(held) if held.ends_ms > now_ms => {
                held.ends_ms = later(now_ms, lease);
                Extended::Held
            }
            _ => Extended::Lost,
        };
        Ok(receipts.iter().map(&mut extend).collect())
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.check_open().await?;
        let _alone = self.reclaiming.lock().await;
        let ended = self.take_ended(maintain.budget.get() as usize);
        self.inner.broker.extend(&ended, Duration::ZERO).await?;
        let Upkeep { reclaimed, lost, .. } = self.inner.broker.maintain(maintain).await?;
        Ok(Upkeep { reclaimed, lost, ..Upkeep::default() })
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        let mut depths = self.inner.broker.depth(queues).await?;
        for depth in &mut depths {
            (depth.scheduled, depth.blocked, depth.running) = (None, None, None);
            depth.oldest_ready = None;
        }
        Ok(depths)
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.inner.broker.close().await?;
        self.give_back().await
    }
}

#[async_trait]
impl Operate for Carrier {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        match filter.states[..] {
            [JobState::Failed] => self.operate().jobs(filter).await,
            _ => self.refuse("a list of jobs that have not failed"),
        }
    }

    async fn cancel(
        &self,
        _ids: &[JobId],
        _scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        self.refuse("cancel")
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        self.operate().replay(filter).await
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        match filter.states[..] {
            [JobState::Failed] => self.operate().purge(filter).await,
            _ => self.refuse("a purge of jobs that have not failed"),
        }
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        self.refuse("a list of queues")
    }

    async fn pause(&self, _queue: &QueueName, _paused: bool) -> Result<(), BrokerError> {
        self.refuse("pause")
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        self.operate().check().await
    }
}
