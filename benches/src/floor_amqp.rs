//! The floor on RabbitMQ: the same messages with the same durability, by lapin and nothing else.
//!
//! One connection. Messages as large as ours are published to a quorum queue on one channel, `mandatory`
//! and confirmed, with at most 1,000 unconfirmed. To drain, messages are received with a prefetch of
//! 2,000 and their contents are not looked at; each has a reply, durable and confirmed in a queue of
//! the kind that ours go to, before as many as are ready are acknowledged together. The next ones are
//! answered meanwhile.

use anyhow::ensure;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::JobId;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::floor::envelope;

/// Unconfirmed messages: as many as ours has.
const WINDOW: usize = 1_000;

/// Unacknowledged messages.
const PREFETCH: u16 = 2_000;

const QUEUE: &str = "floor";
const REPLIES: &str = "floor.replies";
const TASK: &str = "taskbench::ours::no_op";

/// As long as the name of a queue of replies of ours.
const REPLY_TO: &str = "run-1.1.replies.019a0000000070008000000000000000";

async fn open(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// Declares a durable queue; answers how many messages it has.
async fn declare(channel: &Channel, name: &str, arguments: FieldTable) -> anyhow::Result<u32> {
    let options = QueueDeclareOptions::durable();
    Ok(channel.queue_declare(name.into(), options, arguments).await?.message_count())
}

/// The arguments of our queues of ready jobs.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(i32::MAX));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

/// Publishes `jobs` messages to an empty queue, in batches of so many.
pub(crate) async fn enqueue(url: &str, jobs: u64, batch: u64) -> anyhow::Result<()> {
    let (connection, channel) = open_empty(url).await?;
    for first in (0..jobs).step_by(usize::try_from(batch)?) {
        let confirmed = stream::iter(first..jobs.min(first + batch))
            .map(|id| publish_job(&channel, id))
            .buffered(WINDOW);
        all(confirmed).await?;
    }
    Ok(connection.close(200, "done".into()).await?)
}

/// Publishes `jobs` messages to an empty queue, so many at a time.
pub(crate) async fn enqueue_single(url: &str, jobs: u64, at_once: usize) -> anyhow::Result<()> {
    let (connection, channel) = open_empty(url).await?;
    let confirmed =
        stream::iter(0..jobs).map(|id| publish_job(&channel, id)).buffer_unordered(at_once);
    all(confirmed).await?;
    Ok(connection.close(200, "done".into()).await?)
}

async fn open_empty(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let (connection, channel) = open(url).await?;
    declare(&channel, QUEUE, quorum()).await?;
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    Ok((connection, channel))
}

async fn all(confirmed: impl Stream<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    confirmed.try_for_each(|()| std::future::ready(Ok(()))).await
}

async fn publish_job(channel: &Channel, id: u64) -> anyhow::Result<()> {
    let job = JobId::new().to_string();
    let mut headers = FieldTable::default();
    headers.insert("enqueued-at".into(), AMQPValue::LongLongInt(1_763_780_000_000));
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

/// Receives and acknowledges all that is there.
pub(crate) async fn drain(url: &str, replies: bool) -> anyhow::Result<()> {
    let (connection, publishing) = open(url).await?;
    let consuming = connection.create_channel().await?;
    let left = declare(&consuming, QUEUE, quorum()).await?;
    declare(&consuming, REPLIES, FieldTable::default()).await?;
    consuming.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer =
        consuming.basic_consume(QUEUE.into(), "floor".into(), options, FieldTable::default());
    let mut answered = consumer
        .await?
        .ready_chunks(WINDOW)
        .map(|chunk| answer(&publishing, chunk, replies))
        .buffered(2);
    let mut left = usize::try_from(left)?;
    while left > 0
        && let Some(chunk) = answered.next().await
    {
        let chunk = chunk?;
        left = left.saturating_sub(chunk.len());
        if let Some(last) = chunk.last() {
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    ensure!(left == 0, "{left} messages did not come");
    drop(answered);
    consuming.close(200, "done".into()).await?;
    Ok(connection.close(200, "done".into()).await?)
}

/// Replies to a chunk of messages.
async fn answer(
    channel: &Channel,
    chunk: Vec<lapin::Result<Delivery>>,
    replies: bool,
) -> anyhow::Result<Vec<Delivery>> {
    let chunk = chunk.into_iter().collect::<lapin::Result<Vec<_>>>()?;
    if replies {
        all(stream::iter(&chunk).map(|_| publish_reply(channel)).buffered(WINDOW)).await?;
    }
    Ok(chunk)
}
