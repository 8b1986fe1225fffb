//! [`Faulty`]: a broker that fails when it is told to.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use taskcore::broker::{
    Broker, BrokerError, Cancelled, Capabilities, Cursor, Delivery, Depth, Enqueued, Extended,
    Maintain, NewJob, Receipt, Reserve, Settled, Settlement, Upkeep, Verdict,
};
use taskcore::{JobId, QueueName};

/// Wraps a broker and spoils those of its calls that the test names.
///
/// A clone, and a [`duplicate`](Broker::duplicate), follow the same script.
///
/// ```
/// use taskconformance::{Fault, Faulty, Operation};
/// use taskcore::broker::Broker;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let broker = Faulty::new(taskbroker_memory::MemoryBroker::new().connection().broker);
/// broker.next(Operation::Depth, Fault::LostCall);
/// assert!(broker.depth(&[]).await.unwrap_err().is_transient());
/// assert!(broker.depth(&[]).await.is_ok());
/// assert_eq!(broker.calls(Operation::Depth), 2);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Faulty {
    broker: Arc<dyn Broker>,
    script: Arc<Mutex<Script>>,
}

/// A method of [`Broker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Broker::duplicate`].
    Duplicate,
    /// [`Broker::enqueue`].
    Enqueue,
    /// [`Broker::reserve`].
    Reserve,
    /// [`Broker::begin`].
    Begin,
    /// [`Broker::settle`].
    Settle,
    /// [`Broker::extend`].
    Extend,
    /// [`Broker::cancelled`].
    Cancelled,
    /// [`Broker::maintain`].
    Maintain,
    /// [`Broker::depth`].
    Depth,
    /// [`Broker::close`].
    Close,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It does not happen, and answers [`BrokerError::Unavailable`].
    LostCall,
    /// It happens, and answers [`BrokerError::Unavailable`].
    LostReply,
    /// It does not happen, and answers [`BrokerError::Refused`].
    Refused,
    /// It does not happen if it has several entries, and answers [`BrokerError::TooLarge`]; one alone
    /// happens.
    TooMuch,
    /// It does not happen if this job is in it, and answers [`BrokerError::TooLarge`], until the job is
    /// settled as failed.
    TooLarge(JobId),
    /// It happens after this span.
    Delayed(Duration),
    /// It happens, and its answer comes after this span.
    DelayedReply(Duration),
}

#[derive(Debug, Default)]
struct Script {
    next: HashMap<Operation, VecDeque<Fault>>,
    always: HashMap<Operation, Fault>,
    calls: HashMap<Operation, u64>,
}

impl Faulty {
    /// Wraps a broker; nothing fails yet.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, script: Arc::default() }
    }

    /// Spoils the next call of `operation`; further ones queue up, one call each.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.script().next.entry(operation).or_default().push_back(fault);
    }

    /// Spoils every call of `operation` for which nothing else is queued, until
    /// [`heal`](Self::heal).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.script().always.insert(operation, fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut script = self.script();
        script.next.clear();
        script.always.clear();
    }

    /// How many calls of `operation` were made so far, spoilt ones included.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.script().calls.get(&operation).copied().unwrap_or(0)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and takes the fault that is meant for it.
    fn fault(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script();
        *script.calls.entry(operation).or_default() += 1;
        let queued = script.next.get_mut(&operation).and_then(VecDeque::pop_front);
        queued.or_else(|| script.always.get(&operation).cloned())
    }

    async fn spoil<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        self.spoil_if(operation, |_| false, call).await
    }

    /// `is_too_much` says of [`Fault::TooMuch`] and [`Fault::TooLarge`] whether they concern this call.
    async fn spoil_if<T>(
        &self,
        operation: Operation,
        is_too_much: impl Fn(&Fault) -> bool,
        call: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        let broker = self.broker.name();
        match self.fault(operation) {
            None => call.await,
            Some(fault @ (Fault::TooMuch | Fault::TooLarge(_))) => {
                if !is_too_much(&fault) {
                    return call.await;
                }
                let reason = "a test told it to".to_owned();
                Err(BrokerError::TooLarge { broker, reason, source: Box::new(Injected::Refusal) })
            }
            Some(Fault::LostCall) => Err(unavailable(broker, Injected::Call)),
            Some(Fault::LostReply) => {
                call.await?;
                Err(unavailable(broker, Injected::Reply))
            }
            Some(Fault::Refused) => {
                let reason = "a test told it to".to_owned();
                Err(BrokerError::Refused { broker, reason, source: Box::new(Injected::Refusal) })
            }
            Some(Fault::Delayed(span)) => {
                tokio::time::sleep(span).await;
                call.await
            }
            Some(Fault::DelayedReply(span)) => {
                let answer = call.await;
                tokio::time::sleep(span).await;
                answer
            }
        }
    }
}

#[async_trait]
impl Broker for Faulty {
    fn name(&self) -> &'static str {
        self.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        let broker = self.spoil(Operation::Duplicate, self.broker.duplicate()).await?;
        Ok(Arc::new(Self { broker, script: self.script.clone() }))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        let is_too_much = |fault: &Fault| match fault {
            Fault::TooLarge(job) => batch.iter().any(|new| new.id == *job),
            _ => batch.len() > 1,
        };
        self.spoil_if(Operation::Enqueue, is_too_much, self.broker.enqueue(batch)).await
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        self.spoil(Operation::Reserve, self.broker.reserve(request)).await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.spoil(Operation::Begin, self.broker.begin(receipt)).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let is_failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed { .. });
        let is_too_much = |fault: &Fault| match fault {
            Fault::TooLarge(job) => {
                batch.iter().any(|it| it.job == *job && !is_failed(&it.verdict))
            }
            _ => batch.len() > 1,
        };
        self.spoil_if(Operation::Settle, is_too_much, self.broker.settle(batch)).await
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.spoil(Operation::Extend, self.broker.extend(receipts, lease)).await
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        self.spoil(Operation::Cancelled, self.broker.cancelled(after, wait)).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.spoil(Operation::Maintain, self.broker.maintain(maintain)).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.spoil(Operation::Depth, self.broker.depth(queues)).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.spoil(Operation::Close, self.broker.close()).await
    }
}

/// The source of an injected error.
#[derive(Debug, thiserror::Error)]
enum Injected {
    #[error("a test lost the call")]
    Call,
    #[error("a test lost the reply")]
    Reply,
    #[error("a test refused the call")]
    Refusal,
}

fn unavailable(broker: &'static str, lost: Injected) -> BrokerError {
    BrokerError::Unavailable { broker, source: Box::new(lost) }
}
