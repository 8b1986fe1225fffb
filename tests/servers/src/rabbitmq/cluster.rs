//! Several nodes that are one server.

use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::thread::scope;

use super::node::{cookie, plan, prepare};
use super::{RabbitMq, queue};
use crate::process::holds_within;
use crate::server::{START_LIMIT, Server, free_port};

/// Nodes of RabbitMQ on loopback addresses, joined; gone when it is dropped.
///
/// A quorum queue has a copy on each of them, if there are no more than three. Nodes are numbered from
/// 0. What can be done to a server can be done to each ([`Cluster::node`]); one that is started again
/// while no other runs, and was not the last one, does not come up before another does.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RabbitMq>,
}

impl Cluster {
    /// A new cluster of so many nodes.
    ///
    /// # Panics
    ///
    /// If the programs are missing, or it does not start or join: with the log.
    #[must_use]
    pub fn start(nodes: u8) -> Self {
        let mut tries = 1;
        let cluster = loop {
            match start_nodes(nodes, free_port()) {
                Ok(nodes) => break Self { nodes },
                // Somebody else may have taken the port since we looked.
                Err(log) => assert!(tries < 5, "a node of RabbitMQ does not start:\n{log}"),
            }
            tries += 1;
        };
        // Joined by hand: nodes that find each other while they all start wait for each other's locks.
        let (first, others) = cluster.nodes.split_first().expect("a cluster has a node");
        let first = first.node().name();
        for node in others {
            node.stop_serving();
            node.eval(&format!("ok = rabbit_mnesia:join_cluster('{first}', disc)"));
            node.serve_again();
        }
        cluster
    }

    /// One node.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[must_use]
    pub fn node(&self, node: usize) -> &RabbitMq {
        &self.nodes[node]
    }

    /// One node, to stop or start it.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[must_use]
    pub fn node_mut(&mut self, node: usize) -> &mut RabbitMq {
        &mut self.nodes[node]
    }

    /// `amqp://guest:guest@127.0.0.NUMBER:PORT/%2f`: another address for each node.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[must_use]
    pub fn url_of(&self, node: usize) -> String {
        self.node(node).url()
    }

    /// `127.0.0.NUMBER:PORT`
    ///
    /// # Panics
    ///
    /// If there is no such node.
    #[must_use]
    pub fn host_of(&self, node: usize) -> String {
        self.node(node).node().place()
    }

    /// Does [`RabbitMq::save_queues`] on every node.
    ///
    /// # Panics
    ///
    /// With a node's words, if it fails.
    pub fn save_queues(&self) {
        self.nodes.iter().for_each(RabbitMq::save_queues);
    }

    /// Kills a node like a crash: see [`RabbitMq::kill`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&mut self, node: usize) {
        self.node_mut(node).kill();
    }

    /// Starts a node after it was stopped or killed; it is again in the cluster.
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub fn start_again(&mut self, node: usize) {
        self.node_mut(node).start_again();
    }

    /// Starts all nodes, none of which may run, at once.
    ///
    /// # Panics
    ///
    /// If one runs, or does not start.
    pub fn start_all_again(&mut self) {
        scope(|scope| {
            for node in &mut self.nodes {
                scope.spawn(|| node.start_again());
            }
        });
    }

    /// The node that leads a quorum queue, among those that run: after a fault, when they have agreed on one.
    ///
    /// # Panics
    ///
    /// If there is no such quorum queue, or the nodes do not agree within a minute.
    #[must_use]
    pub fn leader_of(&self, name: &str) -> usize {
        let question = format!(
            "{{ok, Queue}} = rabbit_amqqueue:lookup({}), {{Name, _}} = amqqueue:get_pid(Queue), \
             case ra:members({{Name, node()}}, 2000) of \
             {{ok, _, {{_, Leader}}}} -> Leader; _ -> none end",
            queue(name)
        );
        let asked = self.nodes.iter().find(|node| node.server.is_going()).expect("a node runs");
        let mut leader = None;
        holds_within(START_LIMIT, || {
            let answer = asked.eval(&question);
            let named = |node: &RabbitMq| answer == format!("'{}'", node.node().name());
            // One that has just ended is believed in for a while.
            leader = self.nodes.iter().position(|node| named(node) && node.server.is_going());
            leader.is_some()
        });
        leader.unwrap_or_else(|| panic!("the queue `{name}` has no leader"))
    }
}

/// Nodes on their own, on the port that they will share; else the end of the log of one.
fn start_nodes(nodes: u8, port: u16) -> Result<Vec<RabbitMq>, String> {
    let cookie = cookie();
    let start = |number| {
        let folder = prepare(&cookie, &[]);
        let plan = plan(folder.path(), Ipv4Addr::new(127, 0, 0, number), port);
        Server::start_as(folder, plan).map(|server| RabbitMq { server, sealed: None })
    };
    let start = &start;
    scope(|scope| {
        let starting: Vec<_> = (1..=nodes).map(|it| scope.spawn(move || start(it))).collect();
        starting.into_iter().map(|it| it.join().unwrap_or_else(|it| resume_unwind(it))).collect()
    })
}
