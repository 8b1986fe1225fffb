//! [`Message`]: a job as it travels.
//!
//! The layout is public (docs/rabbitmq.md) and read for ever: the body is the envelope, and what
//! the broker needs to know itself is in the properties and headers. A message of another program
//! may leave all of them out.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use taskcore::broker::millis::{ceil_ms, due_ms, later};
use taskcore::broker::{Delivery, Due, JobRecord, JobState, NewJob, Outgoing};
use taskcore::{Envelope, Failure, JobId, Payload, Priority, QueueName};

/// A job, and what was counted of it so far. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) job: JobId,
    pub(crate) task: String,
    pub(crate) queue: QueueName,
    pub(crate) priority: Priority,
    pub(crate) envelope: Payload,
    pub(crate) enqueued_ms: i64,
    pub(crate) due_ms: i64,
    /// Only while no attempt was made.
    pub(crate) expires_ms: Option<i64>,
    pub(crate) counts: Counts,
    /// How often the server took this message back, which `counts` has as losses.
    pub(crate) returns: u32,
    /// Where to say how it ended.
    pub(crate) reply_to: Option<String>,
    /// Whether the job itself is in a store, and this only says that it is ready.
    pub(crate) is_stored: bool,
}

/// What happened to a job so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Attempts that failed.
    pub(crate) failures: u32,
    /// Deliveries that were lost since.
    pub(crate) losses: u32,
    /// Of these, those that had begun as suspects.
    pub(crate) recoveries: u32,
}

/// A message that was received, and has not been acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) tag: u64,
    pub(crate) message: Message,
    pub(crate) at: Instant,
}

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
    /// Whether it is an error if no queue gets it.
    pub(crate) mandatory: bool,
}

impl Message {
    pub(crate) fn of_new(new: &NewJob, reply_to: Option<&str>, now: Timestamp) -> Self {
        let now_ms = now.as_millisecond();
        let next_ms = ceil_ms(now);
        // Never early; but what is due by now is no later than its storing.
        let due_ms = match due_ms(new.due, next_ms) {
            due_ms if due_ms <= next_ms => now_ms,
            due_ms => due_ms,
        };
        let keeps_nothing = Envelope::decode(new.envelope.as_slice())
            .is_ok_and(|envelope| envelope.keep() == taskcore::broker::Keep::Nothing);
        Self {
            job: new.id,
            task: new.task.clone().into_owned(),
            queue: new.queue.clone(),
            priority: new.priority,
            envelope: new.envelope.clone(),
            enqueued_ms: now_ms,
            due_ms,
            expires_ms: new.expires_in.map(|span| later(now_ms, span)),
            counts: Counts::default(),
            returns: 0,
            // A reply that nobody asks for costs as much as the job.
            reply_to: reply_to.filter(|_| !keeps_nothing).map(str::to_owned),
            is_stored: false,
        }
    }

    /// Says that a job in a store is ready.
    pub(crate) fn of_stored(outgoing: &Outgoing, now: Timestamp) -> Self {
        let now_ms = now.as_millisecond();
        Self {
            job: outgoing.job,
            task: String::new(),
            queue: outgoing.queue.clone(),
            priority: outgoing.priority,
            envelope: Payload::default(),
            enqueued_ms: now_ms,
            due_ms: now_ms,
            expires_ms: None,
            counts: Counts::default(),
            returns: 0,
            reply_to: None,
            is_stored: true,
        }
    }

    /// As a job to store: one that came from a program that knows no store.
    pub(crate) fn to_new(&self) -> NewJob {
        let expires_in = self.expires_ms.map(|at| {
            let left = at.saturating_sub(Timestamp::now().as_millisecond());
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        });
        NewJob {
            id: self.job,
            queue: self.queue.clone(),
            task: self.task.clone().into(),
            priority: self.priority,
            due: Due::Now,
            expires_in,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: self.envelope.clone(),
        }
    }

    /// Reads what a queue of ours held. Whatever is missing or strange gets what a new job has:
    /// what is in a queue is a job, and if not, the worker says so.
    pub(crate) fn read(
        properties: &BasicProperties,
        body: Vec<u8>,
        queue: QueueName,
        priority: Priority,
        now: Timestamp,
    ) -> Self {
        let headers = Headers(properties.headers().as_ref());
        let envelope = Payload::from(body);
        let id = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
        let mut task = match properties.kind() {
            Some(task) => task.to_string(),
            None => Envelope::decode(envelope.as_slice())
                .map(|envelope| envelope.task.into_owned())
                .unwrap_or_default(),
        };
        // No task has such a name; the worker says so of the one in the envelope.
        task.truncate(task.floor_char_boundary(NewJob::MAX_TASK));
        let enqueued_ms = headers.integer(ENQUEUED_AT).unwrap_or_else(|| {
            let seconds = properties.timestamp().map(u64::cast_signed);
            seconds.map_or(now.as_millisecond(), |seconds| seconds.saturating_mul(1_000))
        });
        Self {
            job: id.unwrap_or_else(JobId::new),
            task,
            queue,
            priority,
            envelope,
            enqueued_ms,
            due_ms: headers.integer(DUE_AT).unwrap_or(enqueued_ms),
            expires_ms: headers.integer(EXPIRES_AT),
            counts: Counts {
                failures: headers.count(FAILURES),
                losses: headers.count(LOSSES).saturating_add(headers.returns()),
                recoveries: headers.count(RECOVERIES),
            },
            returns: headers.returns(),
            reply_to: properties.reply_to().as_ref().map(ToString::to_string),
            is_stored: headers.integer(STORED) == Some(1),
        }
    }

    /// What was lost once, if the server has counted that more than once.
    ///
    /// It hands what a lost connection had to another one, of which it does not know yet that it is
    /// lost, too: after a crash, a message has as many returns as there were consumers to get it.
    /// Nobody can tell these from worker after worker that died of it, so they count as one loss, and
    /// a job that kills its workers costs one process more.
    pub(crate) fn lost_once(&self) -> Option<Self> {
        (self.returns > 1).then(|| {
            let mut once = self.clone();
            once.counts.losses = self.counts.losses - self.returns + 1;
            once.returns = 0;
            once
        })
    }

    /// The same, to be handed out again at once: it was handed out, so it was due, and a clock that is
    /// wrong now must not put it on the ladder.
    pub(crate) fn ready(self, now: Timestamp) -> Self {
        let due_ms = self.due_ms.min(now.as_millisecond());
        Self { due_ms, ..self }
    }

    /// Whether it was lost so often that it may have killed its worker.
    pub(crate) fn is_suspect(&self) -> bool {
        self.counts.losses >= Delivery::SUSPECT_AFTER
    }

    /// As it is sent, to wherever.
    pub(crate) fn outbound(&self, exchange: String, routing_key: String) -> Outbound {
        self.with_headers(exchange, routing_key, self.headers())
    }

    /// As it is kept after its last attempt.
    pub(crate) fn failed(
        &self,
        queue: String,
        failure: &Failure,
        worker: &str,
        now: Timestamp,
    ) -> Outbound {
        let mut headers = self.headers();
        text(&mut headers, FAILURE, failure_text(failure));
        text(&mut headers, WORKER, worker.to_owned());
        integer(&mut headers, FAILED_AT, now.as_millisecond());
        integer(&mut headers, PRIORITY, self.priority.value().into());
        self.with_headers(String::new(), queue, headers)
    }

    fn with_headers(&self, exchange: String, routing_key: String, headers: FieldTable) -> Outbound {
        let seconds = u64::try_from(self.enqueued_ms / 1_000).unwrap_or(0);
        let content = if self.is_stored { "application/octet-stream" } else { "application/json" };
        let mut properties = BasicProperties::default()
            .with_content_type(content.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(self.job.to_string().into())
            .with_timestamp(seconds)
            .with_headers(headers);
        // At most 255 bytes, as AMQP wants it, too.
        if let Ok(task) = ShortString::try_new(self.task.as_str()) {
            properties = properties.with_type(task);
        }
        if let Some(reply_to) =
            self.reply_to.as_deref().and_then(|to| ShortString::try_new(to).ok())
        {
            properties =
                properties.with_reply_to(reply_to).with_correlation_id(self.job.to_string().into());
        }
        let body = self.envelope.clone().into_bytes();
        Outbound { exchange, routing_key, properties, body, mandatory: true }
    }

    fn headers(&self) -> FieldTable {
        let mut headers = FieldTable::default();
        integer(&mut headers, ENQUEUED_AT, self.enqueued_ms);
        if self.due_ms != self.enqueued_ms {
            integer(&mut headers, DUE_AT, self.due_ms);
        }
        if let Some(expires_ms) = self.expires_ms {
            integer(&mut headers, EXPIRES_AT, expires_ms);
        }
        if self.is_stored {
            integer(&mut headers, STORED, 1);
        }
        let Counts { failures, losses, recoveries } = self.counts;
        for (name, count) in [(FAILURES, failures), (LOSSES, losses), (RECOVERIES, recoveries)] {
            if count > 0 {
                integer(&mut headers, name, count.into());
            }
        }
        headers
    }
}

impl Outbound {
    /// Whether it is one of these jobs.
    pub(crate) fn has_id_of(&self, ids: &HashSet<String>) -> bool {
        self.properties.message_id().as_ref().is_some_and(|id| ids.contains(id.as_str()))
    }

    /// A message that only counts.
    pub(crate) fn mark(queue: String) -> Self {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        Self {
            exchange: String::new(),
            routing_key: queue,
            properties,
            body: Bytes::new(),
            mandatory: true,
        }
    }
}

/// What a message in a queue of failed jobs says.
pub(crate) fn record(
    properties: &BasicProperties,
    body: Vec<u8>,
    queue: QueueName,
    now: Timestamp,
) -> JobRecord {
    let headers = Headers(properties.headers().as_ref());
    let priority = headers.integer(PRIORITY).and_then(|priority| i8::try_from(priority).ok());
    let priority = priority.and_then(|it| Priority::new(it).ok()).unwrap_or_default();
    let message = Message::read(properties, body, queue, priority, now);
    let time = taskcore::broker::millis::timestamp;
    let failure = headers.text(FAILURE).and_then(|json| serde_json::from_str(&json).ok());
    JobRecord {
        id: message.job,
        task: message.task,
        queue: message.queue,
        state: JobState::Failed,
        priority,
        failures: message.counts.failures,
        losses: message.counts.losses,
        recoveries: message.counts.recoveries,
        created_at: time(message.enqueued_ms),
        due_at: time(message.due_ms),
        started_at: None,
        finished_at: headers.integer(FAILED_AT).map(time),
        waits_for: 0,
        unique: None,
        worker: headers.text(WORKER),
        failure,
        envelope: message.envelope,
        result: None,
    }
}

/// The headers of a message, whoever wrote them.
pub(crate) struct Headers<'a>(pub(crate) Option<&'a FieldTable>);

impl Headers<'_> {
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.0?.inner().get(name)? {
            AMQPValue::ShortShortInt(value) => Some((*value).into()),
            AMQPValue::ShortShortUInt(value) => Some((*value).into()),
            AMQPValue::ShortInt(value) => Some((*value).into()),
            AMQPValue::ShortUInt(value) => Some((*value).into()),
            AMQPValue::LongInt(value) => Some((*value).into()),
            AMQPValue::LongUInt(value) => Some((*value).into()),
            AMQPValue::LongLongInt(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.0?.inner().get(name)? {
            AMQPValue::LongString(value) => Some(value.to_string()),
            AMQPValue::ShortString(value) => Some(value.to_string()),
            _ => None,
        }
    }

    fn count(&self, name: &str) -> u32 {
        self.integer(name).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// How often the server took the message back from a consumer: at least once for a lost connection,
    /// see [`Message::lost_once`]. RabbitMQ from 4.0 on counts those as acquired only.
    fn returns(&self) -> u32 {
        self.count("x-delivery-count").max(self.count("x-acquired-count"))
    }
}

/// A failure as it fits into a header: all headers of a message are sent in one frame, of 128 KiB
/// unless a server says otherwise.
pub(crate) fn failure_text(failure: &Failure) -> String {
    let text = serde_json::to_string(failure).unwrap_or_default();
    if text.len() <= MAX_FAILURE {
        return text;
    }
    // A byte takes up to six in JSON.
    let short = failure.clone().shortened(MAX_FAILURE / 24);
    serde_json::to_string(&short).unwrap_or_default()
}

/// Bytes; what is left of a frame is for the other headers and properties.
const MAX_FAILURE: usize = 96 * 1024;

pub(crate) fn integer(headers: &mut FieldTable, name: &str, value: i64) {
    headers.insert(name.into(), AMQPValue::LongLongInt(value));
}

pub(crate) fn text(headers: &mut FieldTable, name: &str, value: String) {
    headers.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
}

/// AMQP's number for a message that survives a restart.
pub(crate) const PERSISTENT: u8 = 2;

const ENQUEUED_AT: &str = "enqueued-at";
const DUE_AT: &str = "due-at";
const EXPIRES_AT: &str = "expires-at";
const STORED: &str = "stored";
const FAILURES: &str = "failures";
const LOSSES: &str = "losses";
const RECOVERIES: &str = "recoveries";
const PRIORITY: &str = "priority";
pub(crate) const FAILURE: &str = "failure";
const FAILED_AT: &str = "failed-at";
const WORKER: &str = "worker";
