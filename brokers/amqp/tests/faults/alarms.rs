//! Servers that are short of memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskbroker_amqp::AmqpBroker;
use taskcore::broker::{Broker, BrokerError, Delivery, Keep, Settled, Verdict};
use taskservers::RabbitMq;

use crate::lab::*;

/// No call takes longer than this.
const LIMIT: Duration = Duration::from_secs(30);

/// A server that blocks its client, who has leased some jobs.
async fn blocked(leased: usize) -> (RabbitMq, Arc<AmqpBroker>, Vec<Delivery>) {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    store(&broker, &jobs(leased)).await;
    let leased = take_all(&broker, leased).await;
    server.raise_alarm();
    // What is sent first is still taken; only then the server says that no more is.
    let _ = broker.enqueue(&jobs(1)).await;
    (server, broker, leased)
}

async fn refused<T>(answer: impl Future<Output = Result<T, BrokerError>>) -> String {
    let since = Instant::now();
    let error = answer.await.err().expect("the server takes nothing");
    assert!(since.elapsed() < LIMIT, "it took {:?}", since.elapsed());
    said(&error)
}

#[tokio::test]
async fn storing_names_the_alarm_and_works_when_it_is_over() {
    let (server, broker, _) = blocked(1).await;
    let text = refused(broker.enqueue(&jobs(1))).await;
    assert!(text.contains("memory or disk run low"), "{text}");
    server.clear_alarm();
    let took = store_at_last(&broker, &jobs(1)).await;
    assert!(took < SOON, "jobs are stored again after {took:?}");
    broker.close().await.unwrap();
}

#[tokio::test]
async fn storing_in_a_new_queue_names_the_alarm() {
    let (_server, broker, _) = blocked(1).await;
    let job = taskcore::broker::NewJob { queue: queue("new"), ..job() };
    let text = refused(broker.enqueue(&[job])).await;
    assert!(text.contains("memory or disk run low"), "{text}");
}

#[tokio::test]
async fn verdicts_do_not_hang_and_count_once_when_the_alarm_is_over() {
    let (server, broker, leased) = blocked(4).await;
    let verdict = Verdict::Done { result: None, keep: Keep::For(Duration::from_secs(60)) };
    let told: Vec<_> = leased[..2].iter().map(|it| with(it, verdict.clone())).collect();
    let untold = done(&leased[2..]);
    let text = refused(broker.settle(&told)).await;
    assert!(text.contains("memory or disk run low"), "{text}");
    let since = Instant::now();
    // It may count or not, but it says so soon.
    let early = broker.settle(&untold).await;
    assert!(since.elapsed() < LIMIT, "it took {:?}", since.elapsed());
    server.clear_alarm();
    store_at_last(&broker, &jobs(1)).await;
    assert_eq!(broker.settle(&told).await.unwrap(), [Settled::Applied; 2]);
    if early.is_err() {
        assert_eq!(broker.settle(&untold).await.unwrap(), [Settled::Applied; 2]);
    }
    broker.close().await.unwrap();
}

#[tokio::test]
async fn jobs_that_flowed_in_come_out_after_an_alarm() {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    let stored = jobs(50);
    store(&broker, &stored).await;
    // All flow in, and one is taken.
    let asked = asking(&[taskcore::QueueName::DEFAULT], 50, PLENTY);
    let first = broker.reserve(&asked).await.unwrap();
    let back: Vec<_> = first.iter().map(|it| with(it, Verdict::Release)).collect();
    broker.settle(&back).await.unwrap();
    let one = take(&broker, 1).await;
    server.raise_alarm();
    let _ = broker.enqueue(&jobs(1)).await;
    // Longer than jobs lie here that nobody asks for; giving them back fails.
    let text = refused(broker.enqueue(&jobs(1))).await;
    assert!(text.contains("memory or disk run low"), "{text}");
    // Nothing can be asked of a blocked connection, so there is no sign that it was tried.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.clear_alarm();
    store_at_last(&broker, &jobs(1)).await;
    let left: std::collections::HashSet<_> =
        ids(&stored).into_iter().filter(|id| *id != one[0].job).collect();
    drain(&broker, &left).await;
    broker.close().await.unwrap();
}
