//! Queues that others delete, declare otherwise, or limit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use taskbroker_amqp::AmqpBroker;
use taskcore::QueueName;
use taskcore::broker::{Broker, NewJob, Settled};
use taskservers::RabbitMq;

use crate::lab::*;

/// Where jobs of the default queue and priority wait.
const READY: &str = "hereafter.1.ready.default.0";

async fn with_queues() -> (RabbitMq, Arc<AmqpBroker>) {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    store(&broker, &[job(), delayed(Duration::from_millis(100))]).await;
    let leased = take_all(&broker, 2).await;
    broker.settle(&done(&leased)).await.unwrap();
    (server, broker)
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_declared_anew_by_who_stores() {
    let (server, broker) = with_queues().await;
    server.delete_queue(READY);
    let stored = jobs(3);
    store(&broker, &stored).await;
    drain(&broker, &ids(&stored)).await;
    broker.close().await.unwrap();
}

#[tokio::test]
async fn only_jobs_of_a_deleted_queue_are_sent_again() {
    let (server, broker) = with_queues().await;
    let of_other = |_| NewJob { queue: queue("other"), ..job() };
    let others: Vec<NewJob> = (0..5).map(of_other).collect();
    store(&broker, &others[..1]).await;
    server.delete_queue(READY);
    let mut batch = jobs(5);
    batch.extend_from_slice(&others[1..]);
    store(&broker, &batch).await;
    let mut came = Vec::new();
    let both = [QueueName::DEFAULT, queue("other")];
    loop {
        let asked = asking(&both, 100, Duration::ZERO);
        let deliveries = broker.reserve(&asked).await.unwrap();
        if deliveries.is_empty() {
            break;
        }
        came.extend(deliveries.iter().map(|it| it.job));
        broker.settle(&done(&deliveries)).await.unwrap();
    }
    let once: HashSet<_> = came.iter().copied().collect();
    assert_eq!(once.len(), 10, "jobs that came");
    assert_eq!(came.len(), 10, "jobs that came, some of them twice");
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_deletion_does_not_end_the_leases_of_a_worker_that_asks_again() {
    let (server, broker) = with_queues().await;
    let kept = NewJob { queue: queue("other"), ..job() };
    store(&broker, &[kept]).await;
    let held = broker.reserve(&asking(&[queue("other")], 1, PLENTY)).await.unwrap();
    // Until nobody consumes from the default queue any more.
    until_consumers(&broker, 0).await;
    server.delete_queue(READY);
    let look = asking(&[QueueName::DEFAULT], 1, Duration::ZERO);
    assert!(broker.reserve(&look).await.unwrap().is_empty());
    server.delete_queue(READY);
    let wait = asking(&[QueueName::DEFAULT], 1, Duration::from_millis(200));
    assert!(broker.reserve(&wait).await.unwrap().is_empty());
    assert_eq!(broker.settle(&done(&held)).await.unwrap(), [Settled::Applied]);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_waiting_worker_goes_on_with_a_queue_that_was_deleted_under_it() {
    let (server, broker) = with_queues().await;
    let waiting = broker.clone();
    let caller = tokio::spawn(async move { take(&waiting, 1).await });
    until_consumers(&broker, 1).await;
    server.delete_queue(READY);
    let stored = jobs(1);
    store(&broker, &stored).await;
    let deliveries = tokio::time::timeout(SOON, caller).await.expect("it goes on").unwrap();
    assert_eq!(deliveries[0].job, stored[0].id);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn delayed_jobs_find_a_queue_that_was_deleted_and_declared_anew() {
    let (server, broker) = with_queues().await;
    server.delete_queue(READY);
    let stored = jobs(1);
    store(&broker, &stored).await;
    let delayed = [delayed(Duration::from_millis(300))];
    store(&broker, &delayed).await;
    drain(&broker, &ids(&[&stored[..], &delayed].concat())).await;
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_named_with_argument_and_remedy() {
    let server = RabbitMq::start();
    let connection =
        Connection::connect(&server.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (options, arguments) = (QueueDeclareOptions::durable(), FieldTable::default());
    channel.queue_declare(READY.into(), options, arguments).await.unwrap();
    let broker = open(&server.url()).await;
    let storing = said(&broker.enqueue(&jobs(1)).await.unwrap_err());
    let asked = asking(&[QueueName::DEFAULT], 1, PLENTY);
    let taking = said(&broker.reserve(&asked).await.unwrap_err());
    for text in [storing, taking] {
        assert!(text.contains(READY), "{text}");
        assert!(text.contains("another `x-"), "{text}");
        assert!(text.contains("delete it when it is empty"), "{text}");
    }
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_job_that_a_length_limit_keeps_out_is_an_error_with_a_remedy() {
    let (server, broker) = with_queues().await;
    let policy = r#"{"max-length": 2}"#;
    server.ctl(&["set_policy", "--apply-to", "queues", "short", "ready", policy]);
    let error = loop {
        if let Err(error) = broker.enqueue(&jobs(1)).await {
            break error;
        }
    };
    let text = said(&error);
    assert!(text.contains("refused") && text.contains("length limit"), "{text}");
    broker.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_finds_no_queue_is_never_told_to_be_stored_while_others_store() {
    let (server, broker) = with_queues().await;
    let of_other = || NewJob { queue: queue("other"), ..job() };
    store(&broker, &[of_other()]).await;
    for _ in 0..4 {
        server.delete_queue(READY);
        let neighbours = (0..8).map(|_| {
            let broker = broker.clone();
            tokio::spawn(async move { store(&broker, &[of_other(), of_other()]).await })
        });
        let neighbours: Vec<_> = neighbours.collect();
        let lost = jobs(1);
        store(&broker, &lost).await;
        for neighbour in neighbours {
            neighbour.await.unwrap();
        }
        drain(&broker, &ids(&lost)).await;
    }
    broker.close().await.unwrap();
}
