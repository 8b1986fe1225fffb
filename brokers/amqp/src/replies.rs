//! [`Replies`]: how the ends of jobs come back to the process that stored them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Consumer};
use taskcore::broker::{Cursor, Finished, JobState, Lookup, Outcome};
use taskcore::{Failure, JobId, Payload};
use tokio::sync::Notify;

use crate::error::AmqpError;
use crate::message::{FAILURE, Headers, Message, Outbound, PERSISTENT, failure_text, text};
use crate::names::Names;
use crate::session::{Session, within};

/// What this process knows of its jobs. The server keeps the replies while the connection is
/// down, and for half an hour after the process is gone; nobody else can read them.
#[derive(Debug)]
pub(crate) struct Replies {
    names: Names,
    queue: Mutex<Queue>,
    known: Mutex<Known>,
    /// Rings when a job has ended.
    ended: Notify,
    /// The session on which replies come in, by epoch; 0 for none.
    listening: tokio::sync::Mutex<u64>,
}

/// Where replies are kept.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Whether each node of a cluster has it: the messages of others are gone with their node.
    pub(crate) is_replicated: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// Stored here and not ended, in the order of storing.
    pending: HashSet<JobId>,
    order: VecDeque<JobId>,
    outcomes: HashMap<JobId, Outcome>,
    /// The order in which they ended. The first has the number `forgotten`.
    ended: VecDeque<JobId>,
    forgotten: i64,
    /// Bytes of the results that are kept.
    bytes: usize,
}

impl Queue {
    fn new(names: &Names, is_replicated: bool) -> Self {
        let process = uuid::Uuid::now_v7().simple().to_string();
        Self { name: names.replies(&process), is_replicated }
    }
}

impl Replies {
    pub(crate) fn new(names: &Names, is_replicated: bool) -> Self {
        Self {
            names: names.clone(),
            queue: Mutex::new(Queue::new(names, is_replicated)),
            known: Mutex::default(),
            ended: Notify::new(),
            listening: tokio::sync::Mutex::new(0),
        }
    }

    pub(crate) fn queue(&self) -> Queue {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sees to it that replies come in on this session.
    pub(crate) async fn listen(self: &Arc<Self>, session: &Arc<Session>) -> Result<(), AmqpError> {
        let mut listening = self.listening.lock().await;
        if *listening == session.epoch {
            return Ok(());
        }
        let queue = self.declare(session).await?;
        let channel = session.channel().await?;
        let consuming = channel.basic_consume(
            queue.name.as_str().into(),
            "replies".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = within("consume replies", consuming).await?;
        *listening = session.epoch;
        drop(listening);
        let (replies, epoch) = (self.clone(), session.epoch);
        tokio::task::spawn_local(async move {
            replies.receive(consumer).await;
            drop(channel);
            let mut listening = replies.listening.lock().await;
            if *listening == epoch {
                *listening = 0;
            }
        });
        Ok(())
    }

    /// Declares the queue. It is not found only where it was: on a node of a cluster that is away,
    /// which nobody can wait for. Then there is another.
    async fn declare(&self, session: &Session) -> Result<Queue, AmqpError> {
        let queue = self.queue();
        match session.declare_replies(&queue).await {
            Err(error) if error.is_not_found() => {}
            answer => return answer.map(|()| queue),
        }
        let other = Queue::new(&self.names, true);
        session.declare_replies(&other).await?;
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = other.clone();
        let jobs = self.forget_pending();
        tracing::warn!(
            target: "hereafter",
            queue = queue.name, jobs,
            "a node of rabbitmq is gone, and how these jobs end will not be told to this process: \
             name the other nodes in the URL, `hosts=host:port,host:port`"
        );
        Ok(other)
    }

    /// Jobs whose end nobody will tell; how many there were.
    fn forget_pending(&self) -> usize {
        let mut known = self.lock();
        known.order.clear();
        std::mem::take(&mut known.pending).len()
    }

    /// Whether replies come in on the session of this epoch.
    pub(crate) async fn is_listening(&self, epoch: u64) -> bool {
        *self.listening.lock().await == epoch
    }

    /// Whether any job waits for its end.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.lock().pending.is_empty()
    }

    async fn receive(&self, consumer: Consumer) {
        let mut chunks = consumer.ready_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let mut last = None;
            for delivery in chunk.into_iter().flatten() {
                self.note(&delivery.properties, &delivery.data);
                last = Some(delivery);
            }
            if let Some(last) = last {
                // If it fails, the session is over and they come again, which changes nothing.
                let _ = last.ack(BasicAckOptions { multiple: true }).await;
            }
            self.ended.notify_waiters();
        }
    }

    /// Reads one reply. The first one of a job counts: what a handle was told of never changes.
    fn note(&self, properties: &BasicProperties, body: &[u8]) {
        let Some(outcome) = read(properties, body) else {
            tracing::warn!(target: "hereafter", queue = self.queue().name, "a reply that is none of ours was passed over");
            return;
        };
        let mut known = self.lock();
        known.pending.remove(&outcome.job);
        if known.outcomes.contains_key(&outcome.job) {
            return;
        }
        known.bytes += size(&outcome);
        known.ended.push_back(outcome.job);
        known.outcomes.insert(outcome.job, outcome);
        while known.outcomes.len() > MAX_OUTCOMES || known.bytes > MAX_BYTES {
            let Some(oldest) = known.ended.pop_front() else { break };
            known.forgotten += 1;
            let gone = known.outcomes.remove(&oldest).as_ref().map_or(0, size);
            known.bytes -= gone;
        }
    }

    /// Jobs that are about to be stored, and whose ends will be told here.
    pub(crate) fn expect(&self, jobs: impl IntoIterator<Item = JobId>) {
        let mut known = self.lock();
        for job in jobs {
            if known.pending.insert(job) {
                known.order.push_back(job);
            }
        }
        while known.order.len() > MAX_PENDING {
            if let Some(oldest) = known.order.pop_front() {
                known.pending.remove(&oldest);
            }
        }
        // Those that have ended leave a gap behind, which is closed when it is large.
        if known.order.len() > 2 * known.pending.len() + 1_000 {
            let Known { order, pending, .. } = &mut *known;
            order.retain(|job| pending.contains(job));
        }
    }

    pub(crate) fn outcomes(&self, ids: &[JobId]) -> Vec<Lookup> {
        let known = self.lock();
        let lookup = |id: &JobId| match known.outcomes.get(id) {
            Some(outcome) => Lookup::Final(Box::new(outcome.clone())),
            // Which state it is in, nobody knows but the server.
            None if known.pending.contains(id) => Lookup::Pending(JobState::Ready),
            None => Lookup::Unknown,
        };
        ids.iter().map(lookup).collect()
    }

    /// As the contract of result stores has it.
    pub(crate) async fn finished(&self, after: Option<Cursor>, wait: Duration) -> Finished {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let rang = self.ended.notified();
            let mut rang = std::pin::pin!(rang);
            rang.as_mut().enable();
            let found = self.finished_now(after);
            if !found.ids.is_empty() || after.is_none() {
                return found;
            }
            if tokio::time::timeout_at(deadline, rang).await.is_err() {
                return found;
            }
        }
    }

    fn finished_now(&self, after: Option<Cursor>) -> Finished {
        let known = self.lock();
        let end = known.forgotten + i64::try_from(known.ended.len()).unwrap_or(i64::MAX);
        let Some(Cursor(after)) = after else {
            return Finished { ids: Vec::new(), next: Cursor(end) };
        };
        let skip = usize::try_from(after - known.forgotten).unwrap_or(0);
        let ids: Vec<JobId> = known.ended.iter().skip(skip).take(10_000).copied().collect();
        let first = known.forgotten + i64::try_from(skip).unwrap_or(i64::MAX);
        let next = first + i64::try_from(ids.len()).unwrap_or(0);
        Finished { ids, next: Cursor(next.min(end)) }
    }

    /// Ends all waits.
    pub(crate) fn wake(&self) {
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message that says how a job ended, if anybody wants to know.
pub(crate) fn reply(
    message: &Message,
    state: JobState,
    result: Option<Payload>,
    failure: Option<&Failure>,
) -> Option<Outbound> {
    let to = message.reply_to.clone()?;
    let mut headers = FieldTable::default();
    text(&mut headers, TASK, message.task.clone());
    if let Some(failure) = failure {
        text(&mut headers, FAILURE, failure_text(failure));
    }
    let body = result.map_or_else(|| Bytes::from_static(b"null"), Payload::into_bytes);
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_type(state.as_str().into())
        .with_correlation_id(message.job.to_string().into())
        .with_headers(headers);
    // The process that asked may be gone, and its queue with it.
    Some(Outbound { exchange: String::new(), routing_key: to, properties, body, mandatory: false })
}

pub(crate) fn read(properties: &BasicProperties, body: &[u8]) -> Option<Outcome> {
    let headers = Headers(properties.headers().as_ref());
    let state: JobState = properties.kind().as_ref()?.as_str().parse().ok()?;
    if !state.is_final() {
        return None;
    }
    let failure = headers.text(FAILURE).and_then(|json| serde_json::from_str(&json).ok());
    Some(Outcome {
        job: properties.correlation_id().as_ref()?.as_str().parse().ok()?,
        task: headers.text(TASK).unwrap_or_default(),
        state,
        result: (body != b"null").then(|| Payload::from(body.to_vec())),
        failure,
        finished_at: Timestamp::now(),
    })
}

fn size(outcome: &Outcome) -> usize {
    let failure = outcome.failure.as_ref().map_or(0, |failure| {
        failure.message.len() + failure.causes.iter().map(String::len).sum::<usize>()
    });
    outcome.result.as_ref().map_or(0, Payload::len) + outcome.task.len() + failure
}

const TASK: &str = "task";

const CHUNK: usize = 1_000;

/// Jobs whose end is remembered. A handle that is awaited later is told that it is no longer kept.
const MAX_OUTCOMES: usize = 100_000;

/// Bytes of results that are remembered.
const MAX_BYTES: usize = 64 << 20;

/// Jobs whose end is awaited.
const MAX_PENDING: usize = 1_000_000;
