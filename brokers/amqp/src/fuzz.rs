//! Fuzz targets: messages, whoever sent them. `tests/fuzz` runs them for long.

use std::time::Duration;

use bolero::{TypeGenerator, check};
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use taskcore::broker::Due;
use taskcore::{Priority, QueueName};

use crate::message::{self, Message};
use crate::{ladder, replies};

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

/// A message as some program may have sent it.
#[derive(Debug, TypeGenerator)]
struct Foreign {
    message_id: Option<String>,
    kind: Option<String>,
    reply_to: Option<String>,
    correlation_id: Option<String>,
    timestamp: Option<u64>,
    headers: Vec<(Name, Given)>,
    body: Vec<u8>,
}

#[derive(Debug, TypeGenerator)]
enum Name {
    EnqueuedAt,
    DueAt,
    ExpiresAt,
    Stored,
    Failures,
    Losses,
    Recoveries,
    Priority,
    Failure,
    FailedAt,
    Worker,
    Task,
    DeliveryCount,
    AcquiredCount,
    Other(String),
}

#[derive(Debug, TypeGenerator)]
enum Given {
    Tiny(i8),
    TinyUnsigned(u8),
    Short(i16),
    ShortUnsigned(u16),
    Long(i32),
    LongUnsigned(u32),
    LongLong(i64),
    Double(f64),
    Flag(bool),
    Time(u64),
    Text(String),
    Nothing,
    Table,
}

impl Foreign {
    fn properties(&self) -> BasicProperties {
        let short = |text: &Option<String>| {
            text.as_deref().and_then(|text| ShortString::try_new(text).ok())
        };
        let mut properties = BasicProperties::default();
        if let Some(id) = short(&self.message_id) {
            properties = properties.with_message_id(id);
        }
        if let Some(kind) = short(&self.kind) {
            properties = properties.with_type(kind);
        }
        if let Some(reply_to) = short(&self.reply_to) {
            properties = properties.with_reply_to(reply_to);
        }
        if let Some(id) = short(&self.correlation_id) {
            properties = properties.with_correlation_id(id);
        }
        if let Some(timestamp) = self.timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            if let Ok(name) = ShortString::try_new(name.text()) {
                headers.insert(name, value.value());
            }
        }
        properties.with_headers(headers)
    }
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::EnqueuedAt => "enqueued-at",
            Self::DueAt => "due-at",
            Self::ExpiresAt => "expires-at",
            Self::Stored => "stored",
            Self::Failures => "failures",
            Self::Losses => "losses",
            Self::Recoveries => "recoveries",
            Self::Priority => "priority",
            Self::Failure => "failure",
            Self::FailedAt => "failed-at",
            Self::Worker => "worker",
            Self::Task => "task",
            Self::DeliveryCount => "x-delivery-count",
            Self::AcquiredCount => "x-acquired-count",
            Self::Other(name) => name,
        }
    }
}

impl Given {
    fn value(&self) -> AMQPValue {
        match self {
            Self::Tiny(value) => AMQPValue::ShortShortInt(*value),
            Self::TinyUnsigned(value) => AMQPValue::ShortShortUInt(*value),
            Self::Short(value) => AMQPValue::ShortInt(*value),
            Self::ShortUnsigned(value) => AMQPValue::ShortUInt(*value),
            Self::Long(value) => AMQPValue::LongInt(*value),
            Self::LongUnsigned(value) => AMQPValue::LongUInt(*value),
            Self::LongLong(value) => AMQPValue::LongLongInt(*value),
            Self::Double(value) => AMQPValue::Double(*value),
            Self::Flag(value) => AMQPValue::Boolean(*value),
            Self::Time(value) => AMQPValue::Timestamp(*value),
            Self::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Self::Nothing => AMQPValue::Void,
            Self::Table => AMQPValue::FieldTable(FieldTable::default()),
        }
    }
}

/// Whatever is in a queue of ours is a job, and what is sent of it is read as the same job.
#[test]
fn message() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    check!(name = "message").with_type::<Foreign>().with_test_time(AS_TEST).for_each(|foreign| {
        let read = |properties: &BasicProperties, body: Vec<u8>| {
            Message::read(properties, body, QueueName::DEFAULT, Priority::default(), now)
        };
        let message = read(&foreign.properties(), foreign.body.clone());
        let sent = message.outbound(String::new(), "queue".to_owned());
        let again = read(&sent.properties, sent.body.to_vec());
        assert_eq!(again.job, message.job);
        assert_eq!(again.task, message.task);
        assert_eq!(again.envelope, message.envelope);
        assert_eq!((again.enqueued_ms, again.due_ms), (message.enqueued_ms, message.due_ms));
        assert_eq!(again.expires_ms, message.expires_ms);
        assert_eq!(again.counts, message.counts);
        assert_eq!(again.reply_to, message.reply_to);
        assert_eq!(again.is_stored, message.is_stored);

        if let Some(once) = message.lost_once() {
            assert!(once.counts.losses <= message.counts.losses && once.lost_once().is_none());
        }
        let ready = message.clone().ready(now);
        assert!(ready.due_ms <= now.as_millisecond());
        assert_eq!(ready.to_new().due, Due::Now);
        let left_ms = message.due_ms.saturating_sub(now.as_millisecond());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        let key = ladder::routing_key(ladder::units(left), "queue");
        assert!(key.len() <= 255, "AMQP's limit: {key}");
    });
}

/// Whatever is in a queue of failed jobs can be shown and replayed.
#[test]
fn failed() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    check!(name = "failed").with_type::<Foreign>().with_test_time(AS_TEST).for_each(|foreign| {
        let (properties, body) = (foreign.properties(), foreign.body.clone());
        let record = message::record(&properties, body.clone(), QueueName::DEFAULT, now);
        assert_eq!(record.envelope.as_slice(), body);
        let message = Message::read(&properties, body, record.queue, record.priority, now);
        if let Some(failure) = &record.failure {
            let kept = message.failed("failed".to_owned(), failure, "worker", now);
            let body = kept.body.to_vec();
            let again = message::record(&kept.properties, body, QueueName::DEFAULT, now);
            assert_eq!(again.failure.as_ref(), Some(failure));
            assert_eq!((again.id, again.priority), (record.id, record.priority));
        }
    });
}

/// Whatever is in a queue of replies is an outcome or is passed over.
#[test]
fn reply() {
    check!(name = "reply").with_type::<Foreign>().with_test_time(AS_TEST).for_each(|foreign| {
        if let Some(outcome) = replies::read(&foreign.properties(), &foreign.body) {
            assert!(outcome.state.is_final());
            let _ = outcome.error();
        }
    });
}
