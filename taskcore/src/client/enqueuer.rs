//! [`Enqueuer`]: calls delayed at the same time share a round trip.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;

use crate::broker::{Broker, BrokerError, Enqueued, Guarded, NewJob};
use crate::error::DelayError;

/// Collects jobs while one `enqueue` is in flight, and sends what has come as the next batch.
///
/// There is no timer: an idle client has the latency of one round trip. The task that sends
/// lives only while there is something to send. Each runtime has its own, because a runtime
/// that nobody drives any more would leave the callers of the others waiting.
pub(super) struct Enqueuer {
    broker: Option<Arc<Guarded>>,
    queues: Arc<Mutex<Queues>>,
}

/// What waits, by the runtime of its callers. A runtime is in it while it has a task that sends.
///
/// Each caller waits with one job, so what waits is bounded by who waits.
type Queues = HashMap<Id, Vec<Waiting>>;

/// How often a batch is sent again after an unknown answer, where ids make that safe.
const REPEATS: u32 = 3;

struct Waiting {
    job: NewJob,
    answer: oneshot::Sender<Result<Enqueued, Arc<BrokerError>>>,
}

impl Enqueuer {
    pub(super) fn new(broker: Option<Arc<Guarded>>) -> Self {
        Self { broker, queues: Arc::default() }
    }

    /// Stores one job, in a batch with others of this moment and this runtime.
    pub(super) async fn enqueue(&self, job: NewJob) -> Result<Enqueued, DelayError> {
        let task = job.task.clone();
        let failed = |source| DelayError::Broker { task: task.to_string(), source };
        let broker = self.broker().map_err(|error| failed(Arc::new(error)))?;
        let runtime = Handle::current();
        let (answer, answered) = oneshot::channel();
        if self.join(runtime.id(), Waiting { job, answer }) {
            let queues = self.queues.clone();
            let sending = Sending { queues, runtime: runtime.id(), is_over: false };
            runtime.spawn(send_all(broker, sending));
        }
        match answered.await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(Arc::new(BrokerError::Unavailable {
                broker: self.broker.as_ref().map_or("no broker", |broker| broker.name()),
                source: "the runtime that was sending the job has stopped".into(),
            }))),
        }
    }

    /// Adds a job; true if nobody sends on this runtime, and the caller has to start.
    fn join(&self, runtime: Id, waiting: Waiting) -> bool {
        match lock(&self.queues).entry(runtime) {
            Entry::Occupied(mut queue) => {
                queue.get_mut().push(waiting);
                false
            }
            Entry::Vacant(queue) => {
                queue.insert(vec![waiting]);
                true
            }
        }
    }

    /// Refuses what is more than one batch, which would not be stored all or none.
    pub(super) fn check_size(&self, calls: usize) -> Result<(), DelayError> {
        let limit = self.broker.as_ref().map_or(usize::MAX, |it| it.capabilities().max_batch);
        if calls > limit { Err(DelayError::TooMany { calls, limit }) } else { Ok(()) }
    }

    /// Stores these jobs in one batch of their own; [`check_size`](Self::check_size) comes first.
    pub(super) async fn enqueue_all(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, DelayError> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let task = first.task.to_string();
        let sent = match self.broker() {
            Ok(broker) => send(&broker, jobs).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| DelayError::Broker { task, source: Arc::new(error) })
    }

    fn broker(&self) -> Result<Arc<Guarded>, BrokerError> {
        self.broker.clone().ok_or(BrokerError::Closed { broker: "no broker" })
    }
}

/// The right to send for a runtime. Gives it back when its task ends, however it ends, so that
/// a runtime that stops leaves nothing behind.
struct Sending {
    queues: Arc<Mutex<Queues>>,
    runtime: Id,
    /// Given back in order; from then on the queue may be another sender's.
    is_over: bool,
}

impl Sending {
    /// What waits now, at most `max`; `None`, and the right given back, if nothing does.
    fn next(&mut self, max: usize) -> Option<Vec<Waiting>> {
        let mut queues = lock(&self.queues);
        let queue = queues.get_mut(&self.runtime).filter(|queue| !queue.is_empty());
        let Some(queue) = queue else {
            queues.remove(&self.runtime);
            self.is_over = true;
            return None;
        };
        let count = queue.len().min(max);
        Some(queue.drain(..count).collect())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            // Callers get an error instead of waiting for nobody.
            lock(&self.queues).remove(&self.runtime);
        }
    }
}

async fn send_all(broker: Arc<Guarded>, mut sending: Sending) {
    let max = broker.capabilities().max_batch;
    while let Some(batch) = sending.next(max) {
        let (jobs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.job, waiting.answer)).unzip();
        let sent = send(&broker, &jobs).await.map_err(Arc::new);
        for (place, answer) in answers.into_iter().enumerate() {
            let sent = match &sent {
                Ok(answers) => Ok(answers[place]),
                Err(error) => Err(error.clone()),
            };
            // The caller may have gone; the job is stored all the same.
            let _ = answer.send(sent);
        }
    }
}

/// Sends a batch, again after an unknown answer where the broker recognises its ids.
async fn send(broker: &Guarded, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
    let repeats = if broker.capabilities().dedupe { REPEATS } else { 0 };
    let mut repeat = 0;
    loop {
        match broker.enqueue(batch).await {
            Ok(answers) if answers.len() == batch.len() => return Ok(answers),
            Ok(answers) => {
                let (answers, jobs) = (answers.len(), batch.len());
                let source = format!("{answers} answers for {jobs} jobs").into();
                return Err(BrokerError::Unavailable { broker: broker.name(), source });
            }
            Err(error) if !error.is_transient() || repeat == repeats => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50 << repeat)).await;
        repeat += 1;
    }
}

fn lock(queues: &Mutex<Queues>) -> MutexGuard<'_, Queues> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}
