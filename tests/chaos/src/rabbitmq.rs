//! RabbitMQ: a server, or a cluster of three nodes, alone or with a store beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{Connection, ConnectionProperties};
use taskservers::{Cluster, Postgres, RabbitMq};
use url::Url;

use crate::fault::Fault;
use crate::server::{file_url, port};

/// Where jobs and results are kept besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Results {
    /// Nowhere: RabbitMQ alone
    None,
    /// In a private PostgreSQL server, to which nothing happens
    Postgres,
    /// In a file
    Sqlite,
}

/// What the campaign runs on.
#[derive(Debug)]
pub(crate) struct Rabbit {
    nodes: Nodes,
    store: Store,
}

#[derive(Debug)]
enum Nodes {
    One(Box<RabbitMq>),
    Three(Cluster),
}

#[derive(Debug)]
enum Store {
    None,
    Postgres(Postgres),
    Sqlite(PathBuf),
}

impl Rabbit {
    /// Starts what the fault needs. It blocks.
    pub(crate) fn start(
        results: Results,
        fault: Option<Fault>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        match (fault, results) {
            (Some(Fault::KillBackends | Fault::Snapshot), _) => bail!(
                "backends and snapshots are those of a database: choose `restart`, `crash` or \
                 `kill-node` on RabbitMQ"
            ),
            (Some(Fault::Theft), Results::Postgres | Results::Sqlite) => {
                bail!("a message that is stolen is no lost job with a store: choose another fault")
            }
            _ => {}
        }
        let nodes = match fault {
            Some(Fault::KillNode) => Nodes::Three(Cluster::start(NODES)),
            _ => Nodes::One(Box::new(RabbitMq::start())),
        };
        let store = match results {
            Results::None => Store::None,
            Results::Postgres => Store::Postgres(Postgres::start()),
            Results::Sqlite => Store::Sqlite(folder.join("store.db")),
        };
        Ok(Self { nodes, store })
    }

    /// For one of the processes: each begins at another node.
    pub(crate) fn url(&self, process: usize, events: u32) -> anyhow::Result<String> {
        let mut url = match &self.nodes {
            Nodes::One(server) => Url::parse(&server.url())?,
            Nodes::Three(cluster) => {
                let nodes = usize::from(NODES);
                let mut url = Url::parse(&cluster.url_of(process % nodes))?;
                let others = (1..nodes).map(|further| cluster.host_of((process + further) % nodes));
                let others: Vec<String> = others.collect();
                url.query_pairs_mut().append_pair("hosts", &others.join(","));
                url
            }
        };
        if let Some(store) = self.store(events)? {
            url.query_pairs_mut().append_pair("results", &store);
        }
        Ok(url.into())
    }

    fn store(&self, events: u32) -> anyhow::Result<Option<String>> {
        Ok(match &self.store {
            Store::None => None,
            Store::Postgres(server) => Some(format!("{}?events={events}", server.url())),
            Store::Sqlite(path) => Some(format!("{}?events={events}", file_url(path)?)),
        })
    }

    /// Does `rabbitmqctl stop_app` and `start_app`.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        let server = self.server()?;
        server.stop_serving();
        server.serve_again();
        Ok(())
    }

    /// Kills the server, and starts it again.
    pub(crate) fn crash(&mut self) -> anyhow::Result<()> {
        let server = self.server()?;
        server.kill();
        server.start_again();
        Ok(())
    }

    /// Where the server listens on this machine, and the store if it is one.
    pub(crate) fn ports(&self) -> anyhow::Result<Vec<u16>> {
        let Nodes::One(server) = &self.nodes else { bail!("it is a cluster") };
        let mut ports = vec![port(&server.url())?];
        if let Store::Postgres(store) = &self.store {
            ports.push(port(&store.url())?);
        }
        Ok(ports)
    }

    /// Kills the store beside it, and starts it again.
    pub(crate) fn crash_store(&mut self) -> anyhow::Result<()> {
        let Store::Postgres(store) = &mut self.store else { bail!("it has no server as a store") };
        store.kill();
        store.start_again();
        Ok(())
    }

    fn server(&mut self) -> anyhow::Result<&mut RabbitMq> {
        match &mut self.nodes {
            Nodes::One(server) => Ok(server),
            Nodes::Three(_) => bail!("it is a cluster, of which only nodes are killed"),
        }
    }

    /// The node that leads the queue of ready jobs.
    pub(crate) fn leader(&mut self) -> anyhow::Result<usize> {
        Ok(self.cluster()?.leader_of(READY))
    }

    /// Kills a node like a crash.
    pub(crate) fn kill_node(&mut self, node: usize) -> anyhow::Result<()> {
        self.cluster()?.kill(node);
        Ok(())
    }

    /// Starts a node that was killed.
    pub(crate) fn start_node(&mut self, node: usize) -> anyhow::Result<()> {
        self.cluster()?.start_again(node);
        Ok(())
    }

    fn cluster(&mut self) -> anyhow::Result<&mut Cluster> {
        match &mut self.nodes {
            Nodes::One(_) => bail!("it is no cluster"),
            Nodes::Three(cluster) => Ok(cluster),
        }
    }

    /// A session beside the system.
    pub(crate) async fn session(&self) -> anyhow::Result<Connection> {
        let Nodes::One(server) = &self.nodes else { bail!("it is a cluster") };
        let session = Connection::connect(&server.url(), ConnectionProperties::default()).await;
        session.context("cannot open a session beside the system")
    }
}

/// Takes the first message out that waits, as somebody might by hand; whether there was one.
pub(crate) async fn steal(session: &Connection) -> anyhow::Result<bool> {
    let channel = session.create_channel().await?;
    let stolen = channel.basic_get(READY.into(), BasicGetOptions::default()).await?;
    if let Some(stolen) = &stolen {
        stolen.ack(BasicAckOptions::default()).await?;
    }
    channel.close(200, "done".into()).await?;
    Ok(stolen.is_some())
}

/// Enough for a majority without one.
const NODES: u8 = 3;

/// Where the jobs of the campaign are ready, by docs/rabbitmq.md.
const READY: &str = "hereafter.1.ready.default.0";
