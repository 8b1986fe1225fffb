//! Short words for what the tests do with a broker, whatever the database.

use std::num::NonZeroU32;
use std::time::Duration;

use taskbroker_database::DatabaseBroker;
use taskcore::broker::{
    Broker, Delivery, Due, Enqueued, Keep, Maintain, NewJob, Outbox, Outgoing, QueueShare, Reserve,
    Settled, Settlement, Verdict,
};
use taskcore::{JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

pub(crate) fn job() -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "task".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::from(b"envelope".to_vec()),
    }
}

pub(crate) fn jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| job()).collect()
}

pub(crate) async fn store(broker: &DatabaseBroker, jobs: &[NewJob]) {
    let stored = broker.enqueue(jobs).await.unwrap();
    assert_eq!(stored, vec![Enqueued::Stored; jobs.len()]);
}

pub(crate) async fn take(broker: &DatabaseBroker, max: u32) -> Vec<Delivery> {
    broker.reserve(&request(max, Duration::ZERO)).await.unwrap()
}

pub(crate) fn request(max: u32, wait: Duration) -> Reserve {
    let max = NonZeroU32::new(max).unwrap();
    Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
        max,
        lease: Duration::from_secs(30),
        wait,
        interrupt: CancellationToken::new(),
        worker: "rig".to_owned(),
    }
}

/// Takes what is to be sent, for an hour.
pub(crate) async fn unsent(broker: &DatabaseBroker, max: u32) -> Vec<Outgoing> {
    let (max, hour) = (NonZeroU32::new(max).unwrap(), Duration::from_secs(3600));
    broker.unsent(max, hour, Duration::ZERO).await.unwrap()
}

/// So many rounds of upkeep, each of a budget of a few jobs.
pub(crate) async fn maintain(broker: &DatabaseBroker, rounds: u32) {
    let maintain = Maintain { budget: NonZeroU32::new(8).unwrap(), ..Maintain::default() };
    for _ in 0..rounds {
        broker.maintain(&maintain).await.unwrap();
    }
}

pub(crate) async fn settle(broker: &DatabaseBroker, settlement: Settlement) {
    assert_eq!(broker.settle(&[settlement]).await.unwrap(), [Settled::Applied]);
}

pub(crate) fn done(delivery: &Delivery) -> Settlement {
    Settlement {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        verdict: Verdict::Done { result: None, keep: Keep::For(Duration::from_secs(3600)) },
    }
}
