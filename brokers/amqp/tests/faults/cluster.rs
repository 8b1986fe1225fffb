//! A cluster that loses nodes: a client that knows the others goes on.

use std::time::{Duration, Instant};

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{Broker, ConnectError, NewJob};
use taskcore::error_chain;
use taskservers::Cluster;

use crate::lab::*;

/// The URL of the first node, which also names the others.
fn url(cluster: &Cluster) -> String {
    format!("{}?hosts={},{}", cluster.url_of(0), cluster.host_of(1), cluster.host_of(2))
}

#[tokio::test]
async fn a_client_whose_node_is_killed_goes_on_at_another_and_no_job_is_lost() {
    let mut cluster = Cluster::start(3);
    let broker = open(&url(&cluster)).await;
    let delays = (0..100).map(|number| delayed(Duration::from_millis(500 + 40 * number)));
    let stored: Vec<NewJob> = jobs(300).into_iter().chain(delays).collect();
    store(&broker, &stored).await;
    let leased = take_all(&broker, 40).await;
    // It declared the queues, so their leaders are on its node.
    assert_eq!(cluster.leader_of("hereafter.1.ready.default.0"), 0);
    cluster.save_queues();

    cluster.kill(0);

    let since = Instant::now();
    let one_more = jobs(1);
    store_at_last(&broker, &one_more).await;
    assert!(since.elapsed() < SOON, "jobs are stored again after {:?}", since.elapsed());
    let wanted = ids(&stored).union(&ids(&one_more)).copied().collect();
    let came = drain(&broker, &wanted).await;
    assert!(leased.iter().all(|it| came[&it.job] == 1), "what was leased ran again, once");
    let again = open(&url(&cluster)).await;
    again.close().await.unwrap();
    broker.close().await.unwrap();
}

#[tokio::test]
async fn nobody_at_any_host_is_an_error_that_says_so() {
    // Ports of the system that nobody listens on.
    let url = "amqp://guest:sesame@127.0.0.1:1?hosts=127.0.0.1:2,127.0.0.1:3";
    let refused = AmqpBroker::open(AmqpOptions::parse(url).unwrap()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Broker(_)), "{refused:?}");
    let text = error_chain(&refused);
    assert!(text.contains("cannot connect to any node"), "{text}");
    assert!(!format!("{text} {refused:?}").contains("sesame"), "{text}");
}
