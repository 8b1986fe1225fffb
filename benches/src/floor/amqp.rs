//! The floor on RabbitMQ by lapin, the driver of ours.
//!
//! One connection. Messages as large as ours are published to a quorum queue on one channel, `mandatory`
//! and confirmed, with at most 1,000 unconfirmed. To drain, messages are received with a prefetch of
//! 2,000 and their contents are not looked at; each has a reply, durable and confirmed in a queue of
//! the kind that ours go to, before as many as are ready are acknowledged together. The next ones are
//! answered meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::JobId;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::time::interval;

use super::{Floor, Leave, Manner, RoundTrip, TASK, envelope, pieces};
use crate::callers::call_at_once;
use crate::percentiles::{ms_since, now};

/// A server.
#[derive(Debug)]
pub(super) struct Amqp(pub(super) String);

/// Unconfirmed messages: as many as ours has.
const WINDOW: usize = 1_000;

/// Unacknowledged messages.
const PREFETCH: u16 = 2_000;

const QUEUE: &str = "floor";
const REPLIES: &str = "floor.replies";

/// As long as the name of a queue of replies of ours.
const REPLY_TO: &str = "run-1.1.replies.019a0000000070008000000000000000";

/// The header with the time of storing.
const ENQUEUED_AT: &str = "enqueued-at";

impl Amqp {
    async fn open(&self) -> anyhow::Result<(Connection, Channel)> {
        let connection = Connection::connect(&self.0, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok((connection, channel))
    }
}

#[async_trait(?Send)]
impl Floor for Amqp {
    async fn prepare(&self) -> anyhow::Result<()> {
        let (connection, channel) = self.open().await?;
        for (name, arguments) in [(QUEUE, quorum()), (REPLIES, FieldTable::default())] {
            let options = QueueDeclareOptions::durable();
            channel.queue_declare(name.into(), options, arguments).await?;
            channel.queue_purge(name.into(), QueuePurgeOptions::default()).await?;
        }
        close(connection).await
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let (connection, channel) = self.open().await?;
        let since = Instant::now();
        match manner {
            Manner::AtOnce(count) => {
                // Ours stays open until the connection is closed.
                let theirs = channel.clone();
                let publish = move |id| {
                    let channel = theirs.clone();
                    async move { publish_job(&channel, id, 1).await }
                };
                call_at_once(jobs, count, publish).await?;
            }
            Manner::Batch(size) => {
                for batch in pieces(jobs, size) {
                    let confirmed = stream::iter(batch).map(|id| publish_job(&channel, id, 1));
                    all(confirmed.buffered(WINDOW)).await?;
                }
            }
        }
        let took = since.elapsed();
        close(connection).await?;
        Ok(took)
    }

    /// Whoever is first may be given more than its share, and gives the rest back.
    async fn drain(&self, share: u64, leave: Leave) -> anyhow::Result<()> {
        let (connection, publishing) = self.open().await?;
        let (consuming, consumer) = consume(&connection).await?;
        let mut answered = consumer
            .ready_chunks(WINDOW)
            .map(|chunk| answer(&publishing, chunk, leave))
            .buffered(2);
        let mut left = usize::try_from(share)?;
        while left > 0 {
            let next = tokio::time::timeout(PATIENCE, answered.next()).await;
            let chunk = next.context("messages are missing")?.context("the consumer ended")??;
            let taken = chunk.len().min(left);
            left -= taken;
            chunk[taken - 1].ack(BasicAckOptions { multiple: true }).await?;
        }
        drop(answered);
        consuming.close(200, "done".into()).await?;
        close(connection).await
    }

    fn round_trip(&self) -> Option<&dyn RoundTrip> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl RoundTrip for Amqp {
    async fn send(&self, count: u64, gap: Duration) -> anyhow::Result<()> {
        let (connection, channel) = self.open().await?;
        let mut ticks = interval(gap);
        for id in 0..count {
            ticks.tick().await;
            publish_job(&channel, id, now().cast_signed()).await?;
        }
        close(connection).await
    }

    async fn receive(&self, count: u64, is_ready: &dyn Fn()) -> anyhow::Result<Vec<f64>> {
        let (connection, _) = self.open().await?;
        let (_consuming, mut consumer) = consume(&connection).await?;
        is_ready();
        let mut took = Vec::new();
        while (took.len() as u64) < count {
            let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
            let delivery =
                next.context("messages are missing")?.context("the consumer ended")??;
            let headers = delivery.properties.headers().as_ref();
            let sent = headers.and_then(|headers| headers.inner().get(ENQUEUED_AT));
            let Some(AMQPValue::LongLongInt(sent)) = sent else {
                anyhow::bail!("a message has no time")
            };
            took.push(ms_since(sent.cast_unsigned()));
            delivery.ack(BasicAckOptions::default()).await?;
        }
        close(connection).await?;
        Ok(took)
    }
}

/// For the next message.
const PATIENCE: Duration = Duration::from_secs(60);

/// The arguments of our queues of ready jobs.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(i32::MAX));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

async fn consume(connection: &Connection) -> anyhow::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    // The server names the consumer.
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
    let consumer = consumer.await?;
    Ok((channel, consumer))
}

async fn close(connection: Connection) -> anyhow::Result<()> {
    Ok(connection.close(200, "done".into()).await?)
}

async fn all(confirmed: impl Stream<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    confirmed.try_for_each(|()| std::future::ready(Ok(()))).await
}

async fn publish_job(channel: &Channel, id: u64, enqueued_at: i64) -> anyhow::Result<()> {
    let job = JobId::new().to_string();
    let mut headers = FieldTable::default();
    headers.insert(ENQUEUED_AT.into(), AMQPValue::LongLongInt(enqueued_at));
    let properties = durable()
        .with_type(TASK.into())
        .with_message_id(job.as_str().into())
        .with_correlation_id(job.into())
        .with_timestamp(1_763_780_000)
        .with_reply_to(REPLY_TO.into())
        .with_headers(headers);
    publish(channel, QUEUE, &envelope(id), properties).await
}

async fn publish_reply(channel: &Channel) -> anyhow::Result<()> {
    let mut headers = FieldTable::default();
    headers.insert("task".into(), AMQPValue::LongString(TASK.into()));
    let properties = durable()
        .with_type("done".into())
        .with_correlation_id(JobId::new().to_string().into())
        .with_headers(headers);
    publish(channel, REPLIES, b"null", properties).await
}

fn durable() -> BasicProperties {
    BasicProperties::default().with_content_type("application/json".into()).with_delivery_mode(2)
}

async fn publish(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    properties: BasicProperties,
) -> anyhow::Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish("".into(), queue.into(), options, body, properties).await?;
    let confirmation = sent.await?;
    ensure!(confirmation.is_ack(), "the server refused a message");
    ensure!(confirmation.take_message().is_none(), "a message found no queue");
    Ok(())
}

/// Replies to a chunk of messages.
async fn answer(
    channel: &Channel,
    chunk: Vec<lapin::Result<Delivery>>,
    leave: Leave,
) -> anyhow::Result<Vec<Delivery>> {
    let chunk = chunk.into_iter().collect::<lapin::Result<Vec<_>>>()?;
    if leave == Leave::Outcome {
        all(stream::iter(&chunk).map(|_| publish_reply(channel)).buffered(WINDOW)).await?;
    }
    Ok(chunk)
}
