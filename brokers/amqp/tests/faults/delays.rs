//! Delays are never too short, and hardly too long.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use taskcore::JobId;
use taskcore::broker::{Broker, NewJob};
use taskservers::RabbitMq;

use crate::lab::*;

/// Stores these, and tells how many milliseconds after its time each came.
async fn latenesses(delays: &[Duration]) -> Vec<i64> {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    // Its queues are there.
    store(&broker, &jobs(1)).await;
    drain_one(&broker).await;
    let stored: Vec<NewJob> = delays.iter().map(|delay| delayed(*delay)).collect();
    let now = Timestamp::now();
    let due: HashMap<JobId, Timestamp> =
        stored.iter().zip(delays).map(|(job, delay)| (job.id, now + *delay)).collect();
    store(&broker, &stored).await;
    let mut late = Vec::new();
    while late.len() < delays.len() {
        let deliveries = take(&broker, 100).await;
        let came = Timestamp::now();
        assert!(!deliveries.is_empty(), "{} of {} came", late.len(), delays.len());
        late.extend(
            deliveries.iter().map(|it| came.as_millisecond() - due[&it.job].as_millisecond()),
        );
        broker.settle(&done(&deliveries)).await.unwrap();
    }
    broker.close().await.unwrap();
    late.sort_unstable();
    late
}

async fn drain_one(broker: &taskbroker_amqp::AmqpBroker) {
    let one = take(broker, 1).await;
    broker.settle(&done(&one)).await.unwrap();
}

#[tokio::test]
async fn jobs_come_at_their_times() {
    let mut random = rand::rng();
    let spread = (0..300).map(|_| Duration::from_millis(random.random_range(0..10_000)));
    let fixed = [300, 1_000, 7_000].map(Duration::from_millis);
    let late = latenesses(&fixed.into_iter().chain(spread).collect::<Vec<_>>()).await;
    let (first, last) = (late[0], late[late.len() - 1]);
    let [p50, p99] = [50, 99].map(|part| late[late.len() * part / 100]);
    println!("late by, in ms: at least {first}, p50 {p50}, p99 {p99}, at most {last}");
    assert!(first >= 0, "a job came {} ms early", -first);
    assert!(p99 < 1_000, "p99 is {p99} ms");
}
