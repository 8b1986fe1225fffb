//! Clusters of RabbitMQ of one's own.

use taskservers::Cluster;

use client::{connect, declare, publish, take};

mod client;

/// A cluster with a message in the quorum queue `kept`.
async fn with_one_message() -> Cluster {
    let cluster = Cluster::start(3);
    let connection = connect(&cluster.url_of(0)).await;
    let channel = declare(&connection, "kept").await;
    publish(&channel, "kept", "7").await;
    cluster.save_queues();
    cluster
}

async fn kept(cluster: &Cluster, node: usize) -> Option<String> {
    take(&connect(&cluster.url_of(node)).await, "kept").await
}

#[tokio::test]
async fn a_message_survives_the_leader_of_its_queue() {
    let mut cluster = with_one_message().await;
    let leader = cluster.leader_of("kept");
    cluster.kill(leader);
    let next = cluster.leader_of("kept");
    assert_ne!(next, leader);
    assert_eq!(kept(&cluster, next).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_node_that_was_started_again_can_replace_another() {
    let mut cluster = with_one_message().await;
    cluster.kill(1);
    cluster.start_again(1);
    cluster.kill(2);
    assert_eq!(kept(&cluster, 1).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_message_survives_all_nodes() {
    let mut cluster = with_one_message().await;
    (0..3).for_each(|node| cluster.kill(node));
    cluster.start_all_again();
    let leader = cluster.leader_of("kept");
    assert_eq!(kept(&cluster, leader).await.as_deref(), Some("7"));
}
