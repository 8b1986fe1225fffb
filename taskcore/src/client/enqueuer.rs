//! [`Enqueuer`]: calls delayed at the same time share a round trip.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;

use crate::broker::{Broker, BrokerError, Enqueued, Guarded, NewJob};
use crate::error::DelayError;

/// Collects jobs while `enqueue`s are in flight, and sends what has come as the next batch. A broker
/// may like to have several in flight: then a further one begins with a fair share of the jobs, not with
/// the first that comes, or batches would be of one job and of all the others.
///
/// There is no timer: an idle client has the latency of one round trip. Who was answered often calls
/// again at once, though, so a sender [leaves him a moment](Sending::gather) before its next batch:
/// without that, 64 callers that stored one job after the other filled batches by half. A task that
/// sends lives only while there is something to send, and that moment. Each runtime has its own,
/// because a runtime that nobody drives any more would leave the callers of the others waiting.
pub(super) struct Enqueuer {
    broker: Option<Arc<Guarded>>,
    queues: Arc<Mutex<Queues>>,
}

/// What waits, by the runtime of its callers. A runtime is in it while it has a task that sends.
type Queues = HashMap<Id, Queue>;

#[derive(Default)]
struct Queue {
    /// Each caller waits with one job, so what waits is bounded by who waits.
    waiting: Vec<Waiting>,
    /// Tasks that send.
    senders: usize,
    /// Those of them that have taken nothing yet.
    starting: usize,
    /// Jobs that the others are sending.
    in_flight: usize,
}

impl Queue {
    /// Starts a further sender if nobody sends; or if fewer than `at_once` do, none of which is about to
    /// take what waits, and its share of all jobs waits. Whether it did.
    fn start_sender(&mut self, at_once: usize) -> bool {
        let has_room = self.senders < at_once && self.starting == 0;
        let has_share = self.waiting.len() * at_once >= self.in_flight + self.waiting.len();
        let is_wanted = self.senders == 0 || (has_room && has_share);
        self.senders += usize::from(is_wanted);
        self.starting += usize::from(is_wanted);
        is_wanted
    }

    /// What a sender had is over: a batch, or its start.
    fn end(&mut self, had: Had) {
        match had {
            Had::Nothing => self.starting -= 1,
            Had::Batch(jobs) => self.in_flight -= jobs,
        }
    }

    /// A sender's next batch.
    fn take(&mut self, max: usize) -> Vec<Waiting> {
        let count = self.waiting.len().min(max);
        self.in_flight += count;
        self.waiting.drain(..count).collect()
    }
}

/// What a sender has.
#[derive(Debug, Clone, Copy)]
enum Had {
    /// It has just started.
    Nothing,
    /// So many jobs.
    Batch(usize),
}

/// How often a batch is sent again after an unknown answer, where ids make that safe.
const REPEATS: u32 = 3;

/// How long a sender waits for those it has answered: at most the eighth part of what that took, and
/// never longer than this.
const PART: u32 = 8;
const MOST: Duration = Duration::from_micros(200);

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
        let capabilities = broker.capabilities();
        // It would be refused with all that share its batch.
        if let Err(limit) = capabilities.check_job(&job.task, &job.envelope) {
            return Err(failed(Arc::new(limit.of_broker(broker.name()))));
        }
        let at_once = capabilities.enqueues_at_once;
        if self.join(runtime.id(), Waiting { job, answer }, at_once) {
            let queues = self.queues.clone();
            let sending =
                Sending { queues, runtime: runtime.id(), has: Had::Nothing, is_over: false };
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

    /// Adds a job; true if a further task is to send on this runtime, and the caller has to start it.
    fn join(&self, runtime: Id, waiting: Waiting, at_once: usize) -> bool {
        let mut queues = lock(&self.queues);
        let queue = queues.entry(runtime).or_default();
        queue.waiting.push(waiting);
        queue.start_sender(at_once)
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

/// One right to send for a runtime. Gives it back when its task ends, however it ends, so that
/// a runtime that stops leaves nothing behind.
struct Sending {
    queues: Arc<Mutex<Queues>>,
    runtime: Id,
    has: Had,
    /// Given back in order; from then on the queue may be another sender's.
    is_over: bool,
}

impl Sending {
    /// What waits now, at most `max`; `None`, and the right given back, if nothing does.
    fn next(&mut self, max: usize) -> Option<Vec<Waiting>> {
        let mut queues = lock(&self.queues);
        let batch = queues.get_mut(&self.runtime).map_or_else(Vec::new, |queue| {
            queue.end(self.has);
            let batch = queue.take(max);
            self.has = Had::Batch(batch.len());
            batch
        });
        if batch.is_empty() {
            self.is_over = true;
            self.give_back(&mut queues);
            return None;
        }
        Some(batch)
    }

    /// The batch is over, and the next one is to come.
    fn end_batch(&mut self) {
        if let Some(queue) = lock(&self.queues).get_mut(&self.runtime) {
            queue.end(self.has);
            queue.starting += 1;
        }
        self.has = Had::Nothing;
    }

    /// Waits until as many wait as were answered together, but not for long beside what the answer took.
    /// It lets others run meanwhile: the runtime's clock is too coarse to sleep for so short a time.
    async fn gather(&self, answered: usize, took: Duration) {
        let until = Instant::now() + (took / PART).min(MOST);
        loop {
            tokio::task::yield_now().await;
            let waiting =
                lock(&self.queues).get(&self.runtime).map_or(0, |queue| queue.waiting.len());
            if waiting >= answered || Instant::now() >= until {
                return;
            }
        }
    }

    /// Who still waits when the last sender is gone gets an error, instead of waiting for nobody.
    fn give_back(&self, queues: &mut Queues) {
        if let Some(queue) = queues.get_mut(&self.runtime) {
            queue.end(self.has);
            queue.senders -= 1;
            if queue.senders == 0 {
                queues.remove(&self.runtime);
            }
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            self.give_back(&mut lock(&self.queues));
        }
    }
}

async fn send_all(mut broker: Arc<Guarded>, mut sending: Sending) {
    let max = broker.capabilities().max_batch;
    while let Some(batch) = sending.next(max) {
        let (jobs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.job, waiting.answer)).unzip();
        let since = Instant::now();
        let sent = send(&broker, &jobs).await.map_err(Arc::new);
        let took = since.elapsed();
        sending.end_batch();
        for (place, answer) in answers.into_iter().enumerate() {
            let sent = match &sent {
                Ok(answers) => Ok(answers[place]),
                Err(error) => Err(error.clone()),
            };
            // The caller may have gone; the job is stored all the same.
            let _ = answer.send(sent);
        }
        // Who calls again has the broker too; if nobody has it, a runtime that stands still does not
        // keep it open.
        let weak = Arc::downgrade(&broker);
        drop(broker);
        sending.gather(jobs.len(), took).await;
        let Some(again) = weak.upgrade() else { return };
        broker = again;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Due;
    use crate::{JobId, Payload, Priority, QueueName};

    type Answered = oneshot::Receiver<Result<Enqueued, Arc<BrokerError>>>;

    /// One more caller; whether it has to start a task that sends.
    fn join(enqueuer: &Enqueuer, at_once: usize) -> (bool, Answered) {
        let job = NewJob {
            id: JobId::new(),
            queue: QueueName::DEFAULT,
            task: "any".into(),
            priority: Priority::default(),
            due: Due::Now,
            expires_in: None,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: Payload::default(),
        };
        let (answer, answered) = oneshot::channel();
        (enqueuer.join(Handle::current().id(), Waiting { job, answer }, at_once), answered)
    }

    fn sending(enqueuer: &Enqueuer) -> Sending {
        let (queues, runtime) = (enqueuer.queues.clone(), Handle::current().id());
        Sending { queues, runtime, has: Had::Nothing, is_over: false }
    }

    fn join_all(enqueuer: &Enqueuer, callers: usize) -> Vec<bool> {
        // Their answers are of no interest.
        (0..callers).map(|_| join(enqueuer, 2).0).collect()
    }

    fn size(batch: Option<Vec<Waiting>>) -> Option<usize> {
        batch.map(|batch| batch.len())
    }

    #[tokio::test]
    async fn a_further_one_sends_when_its_share_waits_and_no_more_than_the_broker_likes() {
        let enqueuer = Enqueuer::new(None);
        assert_eq!(join_all(&enqueuer, 4), [true, false, false, false], "the first takes them all");
        let mut first = sending(&enqueuer);
        assert_eq!(size(first.next(9)), Some(4));
        assert_eq!(
            join_all(&enqueuer, 6),
            [false, false, false, true, false, false],
            "half of all"
        );
        let mut second = sending(&enqueuer);
        assert_eq!(size(second.next(5)), Some(5), "a batch has its limit");
        assert_eq!(size(second.next(5)), Some(1));
        assert_eq!(join_all(&enqueuer, 9), [false; 9], "two send");
        assert_eq!((size(second.next(5)), size(first.next(5))), (Some(5), Some(4)));
        assert_eq!((size(second.next(5)), size(first.next(5))), (None, None));
        assert_eq!(join_all(&enqueuer, 2), [true, false]);
    }

    #[tokio::test]
    async fn who_was_answered_and_calls_again_at_once_is_in_the_next_batch() {
        let enqueuer = Arc::new(Enqueuer::new(None));
        join_all(&enqueuer, 1);
        let mut sending = sending(&enqueuer);
        for _ in 0..3 {
            let enqueuer = enqueuer.clone();
            tokio::spawn(async move { join(&enqueuer, 1) });
        }
        sending.gather(4, Duration::from_secs(60)).await;
        assert_eq!(size(sending.next(9)), Some(4));
        sending.end_batch();
        assert_eq!(join_all(&enqueuer, 2), [false, false], "it takes them itself");
        assert_eq!(size(sending.next(9)), Some(2));
        sending.end_batch();
        // Those who do something else are not waited for.
        sending.gather(4, Duration::from_secs(60)).await;
        assert_eq!(size(sending.next(9)), None);
    }

    #[tokio::test]
    async fn who_waits_is_answered_when_the_last_that_sends_is_gone() {
        let enqueuer = Enqueuer::new(None);
        join_all(&enqueuer, 2);
        let mut first = sending(&enqueuer);
        assert_eq!(size(first.next(9)), Some(2));
        let (_, mut answered) = join(&enqueuer, 2);
        let (starts, _) = join(&enqueuer, 2);
        assert!(starts);
        drop(first);
        assert_eq!(answered.try_recv().err(), Some(oneshot::error::TryRecvError::Empty));
        drop(sending(&enqueuer));
        assert!(answered.await.is_err());
        assert!(join(&enqueuer, 2).0);
    }
}
