//! Servers that go and come back, with work under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskbroker_amqp::AmqpBroker;
use taskcore::QueueName;
use taskcore::broker::{Broker, NewJob, Settled};
use taskservers::RabbitMq;

use crate::lab::*;

/// Jobs in all the places where jobs can be.
struct Midway {
    server: RabbitMq,
    broker: Arc<AmqpBroker>,
    stored: Vec<NewJob>,
    leased: Vec<taskcore::broker::Delivery>,
}

impl Midway {
    /// Some are leased, some have flowed in and some have not, and some are on the ladder.
    async fn begin() -> Self {
        let server = RabbitMq::start();
        let broker = open(&server.url()).await;
        let delays = (0..100).map(|number| delayed(Duration::from_millis(500 + 40 * number)));
        let stored: Vec<NewJob> = jobs(300).into_iter().chain(delays).collect();
        store(&broker, &stored).await;
        let leased = take_all(&broker, 40).await;
        server.save_queues();
        Self { server, broker, stored, leased }
    }

    /// After the server's return.
    async fn assert_goes_on(&self) {
        let broker = &self.broker;
        let one_more = jobs(1);
        let took = store_at_last(broker, &one_more).await;
        assert!(took < SOON, "jobs are stored again after {took:?}");
        let verdicts = broker.settle(&done(&self.leased)).await.unwrap();
        assert_eq!(verdicts, vec![Settled::Stale; self.leased.len()]);
        let wanted = ids(&self.stored).union(&ids(&one_more)).copied().collect();
        let came = drain(broker, &wanted).await;
        let twice = came.values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "jobs that were done came again");
        broker.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_loses_no_job() {
    let mut midway = Midway::begin().await;
    midway.server.restart();
    midway.assert_goes_on().await;
}

#[tokio::test]
async fn a_crash_loses_no_job() {
    let mut midway = Midway::begin().await;
    midway.server.kill();
    midway.server.start_again();
    midway.assert_goes_on().await;
}

#[tokio::test]
async fn a_pause_in_serving_loses_no_job() {
    let midway = Midway::begin().await;
    midway.server.stop_serving();
    midway.server.serve_again();
    midway.assert_goes_on().await;
}

#[tokio::test]
async fn connections_that_an_operator_closes_lose_no_job() {
    let midway = Midway::begin().await;
    assert_eq!(midway.server.close_connections("maintenance"), 1);
    midway.assert_goes_on().await;
}

/// Takes out what was leased at the time of a fault, in whose course it was lost once.
async fn assert_no_suspects(midway: &Midway) {
    store_at_last(&midway.broker, &jobs(1)).await;
    let leased: Vec<_> = midway.leased.iter().map(|it| it.job).collect();
    let mut seen = 0;
    while seen < leased.len() {
        let deliveries = take(&midway.broker, 100).await;
        let again: Vec<_> = deliveries.iter().filter(|it| leased.contains(&it.job)).collect();
        let suspects = again.iter().filter(|it| it.suspect).count();
        assert_eq!(suspects, 0, "of {} jobs that were lost once", again.len());
        seen += again.len();
        midway.broker.settle(&done(&deliveries)).await.unwrap();
    }
    midway.broker.close().await.unwrap();
}

#[tokio::test]
async fn one_pause_in_serving_makes_no_suspects() {
    let midway = Midway::begin().await;
    midway.server.stop_serving();
    midway.server.serve_again();
    assert_no_suspects(&midway).await;
}

#[tokio::test]
async fn one_crash_makes_no_suspects() {
    let mut midway = Midway::begin().await;
    midway.server.kill();
    midway.server.start_again();
    assert_no_suspects(&midway).await;
}

/// A broker whose caller waits for a job that is not there yet.
async fn with_a_waiting_caller(
    url: &str,
) -> (Arc<AmqpBroker>, tokio::task::JoinHandle<Vec<taskcore::broker::Delivery>>) {
    let broker = open(url).await;
    store(&broker, &jobs(1)).await;
    let first = take(&broker, 1).await;
    broker.settle(&done(&first)).await.unwrap();
    let waiting = broker.clone();
    let caller = tokio::spawn(async move { take(&waiting, 1).await });
    // It waits once it consumes.
    until_consumers(&broker, 1).await;
    (broker, caller)
}

#[tokio::test]
async fn a_waiting_caller_is_served_after_a_pause_in_serving() {
    let server = RabbitMq::start();
    let (broker, caller) = with_a_waiting_caller(&server.url()).await;
    server.stop_serving();
    server.serve_again();
    let late = jobs(1);
    store_at_last(&broker, &late).await;
    let deliveries = tokio::time::timeout(SOON, caller).await.expect("it waits on").unwrap();
    assert_eq!(deliveries.iter().map(|it| it.job).collect::<Vec<_>>(), [late[0].id]);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_waiting_caller_is_served_after_all_connections_were_closed() {
    let server = RabbitMq::start();
    let (broker, caller) = with_a_waiting_caller(&server.url()).await;
    server.close_connections("maintenance");
    let late = jobs(1);
    store_at_last(&broker, &late).await;
    let deliveries = tokio::time::timeout(SOON, caller).await.expect("it waits on").unwrap();
    assert_eq!(deliveries.iter().map(|it| it.job).collect::<Vec<_>>(), [late[0].id]);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_stands_still_is_given_up_and_work_resumes_when_it_goes_on() {
    let server = RabbitMq::start();
    let broker = open(&format!("{}?heartbeat=2", server.url())).await;
    let stored = jobs(20);
    store(&broker, &stored).await;
    let leased = take_all(&broker, 5).await;
    server.freeze();
    let since = Instant::now();
    let error = broker.enqueue(&jobs(1)).await.unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    // The silence was noticed, not only this one answer missed.
    let asking = asking(&[QueueName::DEFAULT], 1, Duration::from_secs(1));
    let gone = broker.reserve(&asking).await.unwrap_err();
    server.thaw();
    assert!(said(&error).contains("no heartbeat"), "{}", said(&error));
    assert!(said(&gone).contains("connect"), "{}", said(&gone));
    let took = store_at_last(&broker, &jobs(1)).await;
    assert!(took < SOON, "jobs are stored again after {took:?}");
    let verdicts = broker.settle(&done(&leased)).await.unwrap();
    assert_eq!(verdicts, vec![Settled::Stale; leased.len()]);
    drain(&broker, &ids(&stored)).await;
    broker.close().await.unwrap();
}
