//! What this broker keeps of its events.

use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskcore::broker::{Connection, Due, EventId, Events, NewJob};
use taskcore::{JobId, Payload, Priority, QueueName};

async fn store_jobs(connection: &Connection, count: usize) {
    let job = || NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "history::task".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::default(),
    };
    let jobs: Vec<_> = (0..count).map(|_| job()).collect();
    connection.broker.enqueue(&jobs).await.unwrap();
}

async fn events(connection: &Connection, after: u64) -> Events {
    let history = connection.history.as_ref().unwrap();
    history.events(Some(EventId(after)), u32::MAX, Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn ten_thousand_events_stay_unless_it_is_told_otherwise() {
    let connection = MemoryBroker::new().connection();
    store_jobs(&connection, 10_001).await;
    let found = events(&connection, 0).await;
    assert_eq!((found.missed, found.events.len()), (1, 10_000));
}

#[tokio::test]
async fn a_store_that_keeps_no_events_counts_them() {
    let connection = MemoryBroker::new().keeping_events(0).connection();
    store_jobs(&connection, 3).await;
    let now = connection.history.as_ref().unwrap().events(None, 1, Duration::ZERO).await.unwrap();
    assert_eq!(now.next, EventId(3));
    let found = events(&connection, 1).await;
    assert_eq!((found.missed, found.events.len(), found.next), (2, 0, EventId(3)));
}

#[tokio::test]
async fn keeping_fewer_drops_the_oldest() {
    let broker = MemoryBroker::new();
    store_jobs(&broker.connection(), 5).await;
    let connection = broker.keeping_events(2).connection();
    let found = events(&connection, 0).await;
    let ids: Vec<_> = found.events.iter().map(|event| event.id.0).collect();
    assert_eq!((found.missed, ids), (3, vec![4, 5]));
}

#[tokio::test]
async fn a_position_of_another_store_is_taken_for_now() {
    let connection = MemoryBroker::new().connection();
    store_jobs(&connection, 3).await;
    let found = events(&connection, 1_000).await;
    assert_eq!((found.missed, found.events.len(), found.next), (0, 0, EventId(3)));
}
