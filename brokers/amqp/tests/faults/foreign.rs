//! What others put into our queues.

use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use taskbroker_amqp::AmqpBroker;
use taskcore::broker::{Broker, Delivery, Settled, Verdict};
use taskservers::RabbitMq;

use crate::lab::*;

/// The default queue with a prefix, and a stranger who writes to it.
struct Strange {
    broker: std::sync::Arc<AmqpBroker>,
    channel: Channel,
    key: String,
}

impl Strange {
    async fn new() -> Self {
        let server = RabbitMq::shared();
        let prefix = server.schema();
        let broker = open(&format!("{}?prefix={prefix}", server.url())).await;
        // So that the queues are there.
        store(&broker, &jobs(1)).await;
        let first = take(&broker, 1).await;
        broker.settle(&done(&first)).await.unwrap();
        let connection =
            Connection::connect(server.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { broker, channel, key: format!("{prefix}.1.ready.default.0") }
    }

    async fn write(&self, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let key = self.key.as_str().into();
        let published = self.channel.basic_publish("".into(), key, options, body, properties);
        let told = published.await.unwrap().await.unwrap();
        assert!(told.is_ack(), "{told:?}");
    }

    /// Hands out what was written, and once more after a retry.
    async fn handed_out(self) -> Delivery {
        let first = take_all(&self.broker, 1).await.remove(0);
        let retry = Verdict::Release;
        let settled = self.broker.settle(&[with(&first, retry)]).await.unwrap();
        assert_eq!(settled, [Settled::Applied]);
        let again = take_all(&self.broker, 1).await.remove(0);
        assert_eq!((again.job, again.envelope.as_slice()), (first.job, first.envelope.as_slice()));
        self.broker.settle(&done(&[again])).await.unwrap();
        self.broker.erase().await.unwrap();
        self.broker.close().await.unwrap();
        first
    }
}

#[tokio::test]
async fn a_body_that_is_no_envelope_is_handed_out_as_it_is() {
    let strange = Strange::new().await;
    let body = [0, 159, 146, 150, b'{'];
    strange.write(BasicProperties::default(), &body).await;
    let delivery = strange.handed_out().await;
    assert_eq!(delivery.envelope.as_slice(), body);
    assert_eq!((delivery.task.as_str(), delivery.attempt.get()), ("", 1));
}

#[tokio::test]
async fn an_empty_message_is_handed_out() {
    let strange = Strange::new().await;
    strange.write(BasicProperties::default(), &[]).await;
    assert!(strange.handed_out().await.envelope.as_slice().is_empty());
}

#[tokio::test]
async fn headers_of_wrong_types_count_as_missing() {
    let strange = Strange::new().await;
    let mut headers = FieldTable::default();
    let odd = [
        ("enqueued-at", AMQPValue::LongString("yesterday".into())),
        ("due-at", AMQPValue::Double(0.5)),
        ("expires-at", AMQPValue::FieldArray(FieldArray::default())),
        ("failures", AMQPValue::LongLongInt(-7)),
        ("losses", AMQPValue::FieldTable(FieldTable::default())),
        ("recoveries", AMQPValue::Void),
        ("stored", AMQPValue::Boolean(true)),
    ];
    for (name, value) in odd {
        headers.insert(name.into(), value);
    }
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_message_id("not an id".into())
        .with_type("their.task".into());
    strange.write(properties, b"{}").await;
    let delivery = strange.handed_out().await;
    assert_eq!((delivery.task.as_str(), delivery.attempt.get()), ("their.task", 1));
    assert!(!delivery.suspect);
}

#[tokio::test]
async fn numbers_beyond_all_bounds_do_no_harm() {
    let strange = Strange::new().await;
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("enqueued-at", i64::MIN),
        ("due-at", i64::MIN),
        ("expires-at", i64::MAX),
        ("failures", i64::from(u32::MAX)),
    ] {
        headers.insert(name.into(), AMQPValue::LongLongInt(value));
    }
    let properties = BasicProperties::default().with_headers(headers).with_timestamp(u64::MAX);
    strange.write(properties, b"{}").await;
    assert_eq!(strange.handed_out().await.attempt.get(), u32::MAX);
}

#[tokio::test]
async fn a_reply_address_that_leads_nowhere_does_not_keep_a_job_from_being_done() {
    let strange = Strange::new().await;
    let properties = BasicProperties::default().with_reply_to("nowhere".into());
    strange.write(properties, b"{}").await;
    let delivery = take_all(&strange.broker, 1).await.remove(0);
    let verdict = Verdict::Done {
        result: Some(b"7".to_vec().into()),
        keep: taskcore::broker::Keep::For(PLENTY),
    };
    let settled = strange.broker.settle(&[with(&delivery, verdict)]).await.unwrap();
    assert_eq!(settled, [Settled::Applied]);
    strange.broker.erase().await.unwrap();
    strange.broker.close().await.unwrap();
}

// As the server does by itself after a crash: it hands what was lost to others who are lost, too.
#[tokio::test]
async fn what_the_server_takes_back_many_times_was_lost_once() {
    let strange = Strange::new().await;
    let stored = jobs(1);
    store(&strange.broker, &stored).await;
    for _ in 0..3 {
        let key = || strange.key.as_str().into();
        let got = loop {
            let got = strange.channel.basic_get(key(), BasicGetOptions::default()).await.unwrap();
            match got {
                Some(got) => break got,
                // It flowed in to the broker, which gives back what nobody asks for.
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        got.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.unwrap();
    }
    let delivery = strange.handed_out().await;
    assert_eq!(delivery.job, stored[0].id);
    assert!(!delivery.suspect);
}
