//! [`Composed`]: jobs in a store, carried by RabbitMQ.
//!
//! The store is the truth: it has the jobs, their leases, results and everything else. RabbitMQ
//! has a message for each job that is ready, with the job's id. What is written, in this order:
//!
//! 1. the job, and an entry in the outbox of the store, in one transaction (at `enqueue`, or
//!    whatever else makes it ready);
//! 2. the message, confirmed;
//! 3. the entry is deleted;
//! 4. a worker has the message, and leases the job in the store;
//! 5. the message is acknowledged, long before the job ends;
//! 6. the verdict, with the result and what it releases, in one transaction.
//!
//! Whatever breaks between two of these is mended by what is there: an entry that was not deleted
//! is sent again, a message that was not acknowledged comes again, and a job that is not ready any
//! more is not run for it; a lease that is not renewed ends. A message that is lost for good, with
//! its queue, is found missing by the workers, who look into the store itself once in a while.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;
use taskcore::broker::{
    Broker, BrokerError, CancelOutcome, CancelScope, Cancelled, Capabilities, Claim, Claimed,
    ConnectError, Connection, Cursor, Delivery, Depth, Enqueued, Extended, Finding, JobFilter,
    JobRecord, Maintain, NewJob, Operate, Outbox, QueueStatus, Receipt, Reserve, Settled,
    Settlement, Upkeep,
};
use taskcore::{JobId, QueueName, error_chain};
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::broker::AmqpBroker;
use crate::message::Received;
use crate::options::{AmqpOptions, IfMissing};
use crate::receive::Batch;
use crate::relay;
use crate::store::Shared;

/// A broker whose jobs are in a store and are carried by RabbitMQ.
#[derive(Debug)]
pub struct Composed {
    carrier: Arc<AmqpBroker>,
    store: Arc<dyn Broker>,
    outbox: Arc<dyn Outbox>,
    closed: CancellationToken,
    is_duplicate: bool,
    /// Whether the latest look into the store found jobs of which no message had come.
    is_behind: AtomicBool,
}

impl Composed {
    /// Connects to the server, for the jobs of this store.
    ///
    /// # Errors
    ///
    /// As for [`AmqpBroker::open`]; and [`ConnectError::Unusable`] if the store cannot let another
    /// broker carry its jobs.
    pub async fn open(options: AmqpOptions, store: Connection) -> Result<Connection, ConnectError> {
        let outbox = store.outbox.clone().ok_or_else(|| ConnectError::Unusable {
            store: store.broker.name().to_owned(),
            reason: "it cannot be the store of RabbitMQ: use a database, such as \
                     `results=postgres%3A%2F%2Fhost%2Fdatabase`"
                .to_owned(),
        })?;
        let is_looking = options.if_missing == IfMissing::Wait;
        let carrier = AmqpBroker::open(options).await?;
        let closed = CancellationToken::new();
        if !is_looking {
            outbox.open_outbox().await?;
            let relaying = relay::relay(carrier.shared.clone(), outbox.clone(), closed.clone());
            tokio::spawn(relaying);
        }
        let operate = store.operate.clone().map(|store| {
            Arc::new(Operated { store, carrier: carrier.clone() }) as Arc<dyn Operate>
        });
        let broker = store.broker.clone();
        let broker = Arc::new(Self {
            carrier,
            store: broker,
            outbox,
            closed,
            is_duplicate: false,
            is_behind: AtomicBool::new(false),
        });
        Ok(Connection { broker, operate, outbox: None, ..store })
    }

    fn shared(&self) -> Arc<Shared> {
        self.carrier.shared.clone()
    }

    /// Leases the jobs that messages speak of, and acknowledges these.
    async fn claim(
        &self,
        mut batch: Batch,
        request: &Reserve,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let claimed = async {
            self.adopt(&mut batch).await?;
            let jobs: Vec<JobId> = batch.received.iter().map(|it| it.message.job).collect();
            let claim = Claim { jobs, lease: request.lease, worker: request.worker.clone() };
            self.outbox.claim(&claim).await
        };
        let shared = self.shared();
        let claimed = match claimed.await {
            Ok(claimed) => claimed,
            Err(error) => {
                shared.put_back(batch);
                return Err(error);
            }
        };
        let (epoch, tags) = (batch.epoch(), batch.tags());
        let acknowledging = async move || shared.dealt_with(epoch, tags).await;
        if let Err(error) = self.carrier.shared.driver.run(acknowledging).await {
            // They come again, and find their jobs leased.
            tracing::debug!(target: "hereafter", error = error_chain(&error), "cannot acknowledge messages");
        }
        Ok(claimed
            .into_iter()
            .filter_map(|claimed| match claimed {
                Claimed::Leased(delivery) => Some(*delivery),
                Claimed::NotReady | Claimed::Unknown => None,
            })
            .collect())
    }

    /// Asks the store itself.
    async fn look(&self, request: &Reserve, wait: Duration) -> Result<Vec<Delivery>, BrokerError> {
        let found = self.store.reserve(&Reserve { wait, ..request.clone() }).await?;
        self.is_behind.store(!found.is_empty(), Ordering::Relaxed);
        Ok(found)
    }

    /// Stores jobs that came as messages from programs that know no store. What the store can never take
    /// leaves the batch and is set aside, so that nothing waits behind it.
    async fn adopt(&self, batch: &mut Batch) -> Result<(), BrokerError> {
        let capabilities = self.store.capabilities();
        let (mut strangers, mut refused) = (Vec::new(), Vec::new());
        for Received { tag, message, .. } in &batch.received {
            if message.is_stored {
                continue;
            }
            match capabilities.check_job(&message.task, &message.envelope) {
                Ok(()) => strangers.push((*tag, message.to_new())),
                Err(limit) => refused.push((*tag, format!("{limit}: {}", limit.remedy()))),
            }
        }
        let (tags, jobs): (Vec<u64>, Vec<NewJob>) = strangers.into_iter().unzip();
        let stored = self.store_parts(&tags, &jobs, &mut refused).await;
        if !refused.is_empty() {
            let (shared, aside) = (self.shared(), batch.take(&refused));
            let setting_aside = async move || {
                shared.set_aside(aside).await;
                Ok::<_, BrokerError>(())
            };
            self.carrier.shared.driver.run(setting_aside).await?;
        }
        stored
    }

    /// Stores jobs, in order; those that are too large alone are told in `refused`, by their tags.
    async fn store_parts(
        &self,
        tags: &[u64],
        jobs: &[NewJob],
        refused: &mut Vec<(u64, String)>,
    ) -> Result<(), BrokerError> {
        let most = self.store.capabilities().max_batch;
        let mut parts: Vec<Range<usize>> = match jobs.len() {
            0 => Vec::new(),
            count => (0..count).step_by(most).map(|from| from..count.min(from + most)).collect(),
        };
        parts.reverse();
        while let Some(part) = parts.pop() {
            match self.store.enqueue(&jobs[part.clone()]).await {
                Ok(_) => {}
                Err(BrokerError::TooLarge { .. }) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(error @ BrokerError::TooLarge { .. }) => {
                    refused.push((tags[part.start], error_chain(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Broker for Composed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        // Leases are the store's, and the way to RabbitMQ has a thread of its own already.
        let store = self.store.duplicate().await?;
        let (carrier, outbox) = (self.carrier.clone(), self.outbox.clone());
        let closed = CancellationToken::new();
        let is_behind = AtomicBool::new(false);
        Ok(Arc::new(Self { carrier, store, outbox, closed, is_duplicate: true, is_behind }))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.store.enqueue(batch).await
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        // Who looks once wants to know what there is, and that is in the store.
        if request.wait.is_zero() {
            return self.store.reserve(request).await;
        }
        let deadline = tokio::time::Instant::now() + request.wait;
        // Jobs that were found in the store without a message are often not alone: their queue was
        // paused or lost.
        if self.is_behind.load(Ordering::Relaxed) {
            let found = self.look(request, Duration::ZERO).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let slice = LOOK.mul_f64(rand::rng().random_range(0.8..1.2)).min(left);
            let (shared, asked) = (self.shared(), request.clone());
            let receiving = async move || shared.receive(&asked, slice).await;
            let wait = match self.carrier.shared.driver.run(receiving).await {
                Ok(batch) if !batch.received.is_empty() => {
                    let deliveries = self.claim(batch, request).await?;
                    if !deliveries.is_empty() {
                        return Ok(deliveries);
                    }
                    continue;
                }
                Ok(_) => Duration::ZERO,
                Err(error @ BrokerError::Closed { .. }) => return Err(error),
                // Without messages the store is asked, as if there were no RabbitMQ.
                Err(_) => left.min(Duration::from_secs(1)),
            };
            let found = self.look(request, wait).await?;
            let is_over = tokio::time::Instant::now() >= deadline;
            if !found.is_empty() || is_over || request.interrupt.is_cancelled() {
                return Ok(found);
            }
        }
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.store.begin(receipt).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.store.settle(batch).await
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.store.extend(receipts, lease).await
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        self.store.cancelled(after, wait).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.store.maintain(maintain).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.store.depth(queues).await
    }

    /// The store's own type: jobs are stored in a caller's transaction there, and their messages
    /// follow when it has been committed.
    fn as_any(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.store.as_any()
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.closed.cancel();
        if !self.is_duplicate {
            self.carrier.close().await?;
        }
        self.store.close().await
    }
}

/// The store, as people operate it, and RabbitMQ beside it.
#[derive(Debug)]
struct Operated {
    store: Arc<dyn Operate>,
    carrier: Arc<AmqpBroker>,
}

#[async_trait]
impl Operate for Operated {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        self.store.jobs(filter).await
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        self.store.cancel(ids, scope).await
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        self.store.replay(filter).await
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        self.store.purge(filter).await
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        let mut queues = self.store.queues().await?;
        let consumers = self.carrier.consumers().await?;
        for queue in &mut queues {
            queue.consumers = Some(consumers.get(&queue.depth.queue).copied().unwrap_or(0));
        }
        Ok(queues)
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.store.pause(queue, paused).await
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        let mut findings = self.store.check().await?;
        findings.extend(self.carrier.check().await?);
        Ok(findings)
    }
}

/// How often a worker to whom no message comes looks into the store itself.
const LOOK: Duration = Duration::from_secs(5);
