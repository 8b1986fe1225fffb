//! What an application does with RabbitMQ.

use std::future::Future;
use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

pub(crate) const PLENTY: Duration = Duration::from_secs(60);

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PLENTY, future).await.expect("it does not take so long")
}

pub(crate) async fn connect(url: &str) -> Connection {
    in_time(Connection::connect(url, ConnectionProperties::default())).await.unwrap()
}

/// A channel with confirms, and a quorum queue.
pub(crate) async fn declare(connection: &Connection, queue: &str) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions::durable();
    in_time(channel.queue_declare(queue.into(), durable, arguments)).await.unwrap();
    channel
}

/// Returns when the server has confirmed.
pub(crate) async fn publish(channel: &Channel, queue: &str, text: &str) {
    let kept = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish("".into(), queue.into(), options, text.as_bytes(), kept);
    assert!(in_time(confirm.await.unwrap()).await.unwrap().is_ack());
}

/// The first message of a queue, which it then has no more.
pub(crate) async fn take(connection: &Connection, queue: &str) -> Option<String> {
    let channel = connection.create_channel().await.unwrap();
    let message = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true });
    let message = in_time(message).await.unwrap()?;
    Some(String::from_utf8(message.delivery.data).unwrap())
}
