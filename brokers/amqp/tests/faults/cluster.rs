//! A cluster that loses nodes: a client that knows the others goes on.

use std::time::{Duration, Instant};

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{Broker, ConnectError, JobState, Keep, Lookup, NewJob, Settled, Verdict};
use taskcore::error_chain;
use taskservers::Cluster;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
    cluster.start_again(0);
    let wanted = ids(&stored).union(&ids(&one_more)).copied().collect();
    let came = drain(&broker, &wanted).await;
    assert!(leased.iter().all(|it| came[&it.job] == 1), "what was leased ran again, once");
    let again = open(&url(&cluster)).await;
    again.close().await.unwrap();
    broker.close().await.unwrap();
}

/// A place that leads to a node; to which one, is told to the sender.
async fn balancer(node: String) -> (String, watch::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let (lead, leads) = watch::channel(node);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let node = leads.borrow().clone();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(node).await else { return };
                // It ends with either side, however that ends.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (place, lead)
}

#[tokio::test]
async fn jobs_are_stored_while_the_node_that_kept_the_replies_is_away() {
    let mut cluster = Cluster::start(3);
    // The client does not know that it is a cluster.
    let (place, lead) = balancer(cluster.host_of(0)).await;
    let broker = open(&format!("amqp://guest:guest@{place}/%2f")).await;
    let before = jobs(1);
    store(&broker, &before).await;
    cluster.save_queues();
    lead.send_replace(cluster.host_of(1));

    cluster.kill(0);

    let since = Instant::now();
    let after = jobs(1);
    store_at_last(&broker, &after).await;
    assert!(since.elapsed() < SOON, "jobs are stored again after {:?}", since.elapsed());
    let taken = take_all(&broker, 2).await;
    let verdict = Verdict::Done { result: None, keep: Keep::For(Duration::from_secs(60)) };
    let verdicts: Vec<_> = taken.iter().map(|it| with(it, verdict.clone())).collect();
    assert_eq!(broker.settle(&verdicts).await.unwrap(), [Settled::Applied; 2]);
    let results = broker.connection().results.unwrap();
    let cursor = results.finished(None, Duration::ZERO).await.unwrap().next;
    let asked = [before[0].id, after[0].id];
    let mut lookups = results.outcomes(&asked).await.unwrap();
    while matches!(lookups[1], Lookup::Pending(_)) {
        assert!(since.elapsed() < PLENTY, "no reply came: {lookups:?}");
        results.finished(Some(cursor), Duration::from_millis(100)).await.unwrap();
        lookups = results.outcomes(&asked).await.unwrap();
    }
    let [Lookup::Unknown, Lookup::Final(outcome)] = &lookups[..] else { panic!("{lookups:?}") };
    assert_eq!((outcome.job, outcome.state), (after[0].id, JobState::Done));
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
