//! Our side: no-op jobs of an int and a short string, and workers as users have them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hereafter::QueueName;
use hereafter::prelude::*;
use hereafter::worker::{Exit, Shutdown, Worker, WorkerConfig};
use tokio::task::JoinHandle;

use crate::broker::Broker;
use crate::callers::call_at_once;
use crate::floor::{Leave, Manner};
use crate::percentiles::now;
use crate::process::{Process, again};

/// Does nothing.
#[register_task]
pub(crate) async fn no_op(id: u64, name: String) {
    let _ = (id, name);
}

/// Answers when it was started, in ns since 1970.
#[register_task]
pub(crate) async fn started_at() -> u64 {
    now()
}

fn call(id: u64, leave: Leave) -> Call<(), ()> {
    let call = no_op(id, format!("user_{id}"));
    if leave == Leave::Nothing { call.ignore_result() } else { call }
}

/// Stores jobs; answers how long that took.
pub(crate) async fn store(
    client: &Client,
    jobs: u64,
    manner: Manner,
    leave: Leave,
) -> anyhow::Result<Duration> {
    let since = Instant::now();
    match manner {
        Manner::AtOnce(count) => {
            let client = client.clone();
            let store = move |id| {
                let client = client.clone();
                async move {
                    call(id, leave).delay_on(&client).await?;
                    Ok(())
                }
            };
            call_at_once(jobs, count, store).await?;
        }
        Manner::Batch(size) => {
            let open = client.connection().map(|open| open.broker.capabilities());
            // What a broker takes at most is what a user can give it.
            let most = open.map_or(size, |open| size.min(open.max_batch as u64));
            for first in (0..jobs).step_by(usize::try_from(most)?) {
                let calls = (first..jobs.min(first + most)).map(|id| call(id, leave));
                client.delay_all(calls).await?;
            }
        }
    }
    Ok(since.elapsed())
}

/// Stores jobs in large batches in a store that is opened for it.
pub(crate) async fn fill(url: &str, jobs: u64, leave: Leave) -> anyhow::Result<()> {
    fill_by(url, jobs, Manner::Batch(10_000), leave).await
}

/// Stores jobs in a store that is opened for it.
pub(crate) async fn fill_by(
    url: &str,
    jobs: u64,
    manner: Manner,
    leave: Leave,
) -> anyhow::Result<()> {
    let client = Client::open(url).await?;
    store(&client, jobs, manner, leave).await?;
    Ok(client.close().await?)
}

/// An error if a job is left, or has failed.
pub(crate) async fn check_drained(url: &str) -> anyhow::Result<()> {
    let client = Client::open(url).await?;
    if let Some(open) = client.connection() {
        for depth in open.broker.depth(&[QueueName::DEFAULT]).await? {
            let left = [depth.ready, depth.running, depth.blocked, depth.failed];
            ensure!(left.iter().flatten().sum::<u64>() == 0, "jobs were left undone: {depth:?}");
        }
    }
    Ok(client.close().await?)
}

/// A worker with the defaults, in a process of its own where that is possible.
#[derive(Debug)]
pub(crate) enum Running {
    Process(Process),
    Here(Shutdown, JoinHandle<anyhow::Result<()>>),
}

impl Running {
    pub(crate) async fn start(broker: Broker, url: &str, exit: Exit) -> anyhow::Result<Self> {
        if broker.is_here() {
            return Self::start_here(url, exit).await;
        }
        let mut command = again()?;
        command.args(["run", "--log-level", "error"]).env("HEREAFTER_URL", url);
        if exit == Exit::Drained {
            command.arg("--burst");
        }
        Ok(Self::Process(Process::start(&mut command)?))
    }

    async fn start_here(url: &str, exit: Exit) -> anyhow::Result<Self> {
        let client = Client::open(url).await?;
        let mut config = WorkerConfig::default();
        config.exit = exit;
        let worker = Worker::builder(client.clone()).config(config).build();
        let shutdown = Shutdown::new();
        let until = shutdown.clone();
        let run = tokio::spawn(async move {
            worker.run(&until).await?;
            Ok(client.close().await?)
        });
        Ok(Self::Here(shutdown, run))
    }

    /// Waits until it has drained its store; answers how many bytes its process has written.
    pub(crate) async fn end(self) -> anyhow::Result<u64> {
        match self {
            Self::Process(process) => process.end(),
            Self::Here(_, run) => {
                run.await??;
                Ok(0)
            }
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Process(process) => process.stop(),
            Self::Here(shutdown, run) => {
                shutdown.request();
                run.await?
            }
        }
    }
}
