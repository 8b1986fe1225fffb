//! What is done to the server while jobs run.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::ledger::now;
use crate::server::{Server, Session};
use crate::snapshot::{self, DeadRows};

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The server is stopped in good order and started again, once
    Restart,
    /// The server is killed like a crash and started again, once
    Crash,
    /// The node of a cluster that leads the queue of ready jobs is killed like a crash, and started again
    KillNode,
    /// Every backend of the database is terminated, each second
    KillBackends,
    /// Another session holds an open REPEATABLE READ snapshot for a while
    Snapshot,
    /// A job is deleted behind the back of the system, which a campaign must find out
    #[value(hide = true)]
    Theft,
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) acknowledged: u64,
    /// Whether every job has ended.
    pub(crate) is_over: bool,
}

/// When and how a fault is to strike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) jobs: u64,
    pub(crate) seed: u64,
    /// How long a snapshot is held.
    pub(crate) hold: Duration,
}

/// What was done. Times are in microseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck {
    pub(crate) from: u64,
    /// When it was over: the server answers again, the snapshot is given back.
    pub(crate) until: u64,
    /// Sessions that were ended.
    pub(crate) backends: u64,
    pub(crate) dead_rows: Vec<DeadRows>,
}

impl Fault {
    /// Over how many seconds the jobs are spread, unless told otherwise.
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Restart | Self::Crash | Self::KillNode | Self::KillBackends | Self::Theft => 30,
            // 20 s before, 60 s of it, and 20 s after.
            Self::Snapshot => 100,
        }
    }

    /// Whether there is no server for a while, after which work is to resume soon.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Self::Restart | Self::Crash | Self::KillNode)
    }

    /// What it needs of the server besides its durable defaults.
    pub(crate) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Snapshot => snapshot::SETTINGS,
            _ => &[],
        }
    }
}

impl Strike {
    /// Strikes when its time has come; gives the server back.
    pub(crate) async fn run(
        &self,
        server: Server,
        mut progress: watch::Receiver<Progress>,
    ) -> anyhow::Result<(Server, Struck)> {
        let point = self.jobs as f64 * self.point();
        let reached = progress.wait_for(|it| it.is_over || it.acknowledged as f64 >= point);
        reached.await.context("the campaign has ended before the fault")?;
        match self.fault {
            Fault::Restart => at_once(server, Server::restart).await,
            Fault::Crash => at_once(server, Server::crash).await,
            Fault::KillNode => kill_node(server, progress).await,
            Fault::KillBackends => {
                let struck = kill_backends(&server, &progress).await?;
                Ok((server, struck))
            }
            Fault::Theft => {
                let struck = steal(&server, &progress).await?;
                Ok((server, struck))
            }
            Fault::Snapshot => {
                let struck = self.hold_snapshot(&server, &progress).await?;
                Ok((server, struck))
            }
        }
    }

    /// After which share of the jobs it strikes, or begins to.
    fn point(&self) -> f64 {
        let mut random = StdRng::seed_from_u64(self.seed);
        match self.fault {
            Fault::Restart | Fault::Crash | Fault::KillNode | Fault::Theft => {
                random.random_range(STRIKES)
            }
            Fault::KillBackends => random.random_range(0.1..0.2),
            Fault::Snapshot => 0.2,
        }
    }

    async fn hold_snapshot(
        &self,
        server: &Server,
        progress: &watch::Receiver<Progress>,
    ) -> anyhow::Result<Struck> {
        let (Session::Postgres(mut watcher), Session::Postgres(mut holder)) =
            (server.session().await?, server.session().await?)
        else {
            bail!("what a snapshot costs is counted on PostgreSQL only");
        };
        let mut struck = Struck { from: now(), ..Struck::default() };
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
            .execute(&mut holder)
            .await?;
        let release = Instant::now() + self.hold;
        while Instant::now() < release {
            struck.dead_rows.push(snapshot::dead_rows(&mut watcher).await?);
            sleep_until(release.min(Instant::now() + EACH)).await;
        }
        sqlx::raw_sql("COMMIT").execute(&mut holder).await?;
        struck.until = now();
        while !progress.borrow().is_over {
            struck.dead_rows.push(snapshot::dead_rows(&mut watcher).await?);
            sleep(EACH).await;
        }
        Ok(struck)
    }
}

/// Does something that blocks, which is the whole fault.
async fn at_once(
    mut server: Server,
    act: fn(&mut Server) -> anyhow::Result<()>,
) -> anyhow::Result<(Server, Struck)> {
    let done = tokio::task::spawn_blocking(move || {
        let from = now();
        act(&mut server)?;
        Ok((server, Struck { from, until: now(), ..Struck::default() }))
    });
    done.await.context("the server does not come back")?
}

/// The fault is over with the kill: two nodes of three go on. The third is started again later, while
/// jobs run.
async fn kill_node(
    server: Server,
    mut progress: watch::Receiver<Progress>,
) -> anyhow::Result<(Server, Struck)> {
    let Server::RabbitMq(mut rabbit) = server else { bail!("only RabbitMQ has a cluster") };
    let killing = tokio::task::spawn_blocking(move || {
        let (node, from) = (rabbit.leader()?, now());
        rabbit.kill_node(node)?;
        anyhow::Ok((rabbit, node, Struck { from, until: now(), ..Struck::default() }))
    });
    let (mut rabbit, node, struck) = killing.await.context("no node was killed")??;
    // Over or not.
    let _ = timeout(AWAY, progress.wait_for(|it| it.is_over)).await;
    let starting = tokio::task::spawn_blocking(move || {
        rabbit.start_node(node)?;
        Ok((Server::RabbitMq(rabbit), struck))
    });
    starting.await.context("the node does not come back")?
}

async fn kill_backends(
    server: &Server,
    progress: &watch::Receiver<Progress>,
) -> anyhow::Result<Struck> {
    let mut session = server.session().await?;
    let mut struck = Struck { from: now(), ..Struck::default() };
    while !progress.borrow().is_over {
        struck.backends += session.end_others().await?;
        struck.until = now();
        sleep(EACH).await;
    }
    Ok(struck)
}

/// Deletes the first job that waits.
async fn steal(server: &Server, progress: &watch::Receiver<Progress>) -> anyhow::Result<Struck> {
    let mut session = server.session().await?;
    let from = now();
    while !progress.borrow().is_over {
        if session.steal().await? {
            return Ok(Struck { from, until: now(), ..Struck::default() });
        }
    }
    bail!("no job waited long enough to be deleted")
}

/// After which share of the jobs a single fault strikes.
pub(crate) const STRIKES: Range<f64> = 0.35..0.55;

/// For how long a cluster is without the node that was killed.
const AWAY: Duration = Duration::from_secs(5);

const EACH: Duration = Duration::from_secs(1);
