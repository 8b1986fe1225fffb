//! [`Guarded`]: what every broker gets at the seam.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::Instrument;

use super::{
    Broker, BrokerError, Cancelled, Capabilities, Cursor, Delivery, Depth, Enqueued, Extended,
    Maintain, NewJob, Receipt, Reserve, Settled, Settlement, Upkeep,
};
use crate::queue::QueueName;

/// Adds a span and an end to every call of a broker.
///
/// At the deadline it stops waiting but does not drop the call, which goes on in a task of its
/// own: dropping a database future midway can leave a pooled connection with an open
/// transaction.
#[derive(Debug, Clone)]
pub struct Guarded {
    broker: Arc<dyn Broker>,
    deadline: Duration,
}

impl Guarded {
    /// How long a call may take, waits that it was asked for not counted.
    pub const DEADLINE: Duration = Duration::from_secs(30);

    /// Guards a broker.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, deadline: Self::DEADLINE }
    }

    /// Runs `call` in a task of its own and waits for it until the deadline.
    async fn within<T, F>(
        &self,
        operation: &'static str,
        extra: Duration,
        call: F,
    ) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BrokerError>> + Send + 'static,
    {
        let broker = self.broker.name();
        let span =
            tracing::debug_span!(target: "hereafter::broker", "broker call", broker, operation);
        let limit = self.deadline + extra;
        match tokio::time::timeout(limit, tokio::spawn(call.instrument(span))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(BrokerError::Unavailable { broker, source: Box::new(error) }),
            Err(_) => Err(BrokerError::Deadline { broker, operation, seconds: limit.as_secs() }),
        }
    }
}

#[async_trait]
impl Broker for Guarded {
    fn name(&self) -> &'static str {
        self.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        let broker = self.broker.clone();
        let copy = self
            .within("duplicate", Duration::ZERO, async move { broker.duplicate().await })
            .await?;
        Ok(Arc::new(Self { broker: copy, deadline: self.deadline }))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        let (broker, batch) = (self.broker.clone(), batch.to_vec());
        self.within("enqueue", Duration::ZERO, async move { broker.enqueue(&batch).await }).await
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let (broker, request) = (self.broker.clone(), request.clone());
        let wait = request.wait;
        self.within("reserve", wait, async move { broker.reserve(&request).await }).await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        let (broker, receipt) = (self.broker.clone(), receipt.clone());
        self.within("begin", Duration::ZERO, async move { broker.begin(&receipt).await }).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let (broker, batch) = (self.broker.clone(), batch.to_vec());
        self.within("settle", Duration::ZERO, async move { broker.settle(&batch).await }).await
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        let (broker, receipts) = (self.broker.clone(), receipts.to_vec());
        self.within("extend", Duration::ZERO, async move { broker.extend(&receipts, lease).await })
            .await
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        let broker = self.broker.clone();
        self.within("cancelled", wait, async move { broker.cancelled(after, wait).await }).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        let (broker, maintain) = (self.broker.clone(), *maintain);
        self.within("maintain", Duration::ZERO, async move { broker.maintain(&maintain).await })
            .await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        let (broker, queues) = (self.broker.clone(), queues.to_vec());
        self.within("depth", Duration::ZERO, async move { broker.depth(&queues).await }).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        let broker = self.broker.clone();
        self.within("close", Duration::ZERO, async move { broker.close().await }).await
    }
}
