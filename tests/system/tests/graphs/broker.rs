//! [`Watched`]: a broker that notes which verdicts counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hereafter::broker::{
    Broker, BrokerError, Cancelled, Capabilities, Cursor, Delivery, Depth, Enqueued, Extended,
    Maintain, NewJob, Receipt, Reserve, Settled, Settlement, Upkeep, Verdict,
};
use hereafter::{JobId, QueueName};

/// A broker that notes which verdicts counted.
#[derive(Debug)]
pub(crate) struct Watched {
    broker: Arc<dyn Broker>,
    ends: Mutex<Vec<JobId>>,
}

impl Watched {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, ends: Mutex::default() }
    }

    /// The jobs that a verdict ended, as often as one did.
    pub(crate) fn ends(&self) -> Vec<JobId> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, batch: &[Settlement], answers: &[Settled]) {
        let counted = batch.iter().zip(answers).filter(|(settlement, answer)| {
            let is_end =
                matches!(settlement.verdict, Verdict::Done { .. } | Verdict::Failed { .. });
            is_end && **answer == Settled::Applied
        });
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.extend(counted.map(|(settlement, _)| settlement.job));
    }
}

#[async_trait]
impl Broker for Watched {
    fn name(&self) -> &'static str {
        self.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    /// For heartbeats, which give no verdicts.
    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.broker.duplicate().await
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.broker.enqueue(batch).await
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        self.broker.reserve(request).await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.broker.begin(receipt).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let answers = self.broker.settle(batch).await?;
        self.note(batch, &answers);
        Ok(answers)
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.broker.extend(receipts, lease).await
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        self.broker.cancelled(after, wait).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.broker.maintain(maintain).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.broker.depth(queues).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.broker.close().await
    }
}
