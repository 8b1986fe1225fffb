//! The worker processes, and the chaos among them.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Worker processes; each is this program, re-executed.
#[derive(Debug)]
pub(crate) struct Fleet {
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<u32>,
}

/// Set in the environment of worker processes.
pub(crate) const WORKER: &str = "WORDCOUNT_WORKER";

/// How often a worker is killed under `--chaos`.
const KILL_EVERY: Duration = Duration::from_secs(1);

/// The lease under `--chaos`: what a killed worker held is taken back after this time.
const CHAOS_LEASE: &str = "2s";

impl Fleet {
    /// Starts `workers` processes on the queue at `url`.
    pub(crate) fn start(url: &str, workers: usize, chaos: bool) -> anyhow::Result<Self> {
        let url = url.to_owned();
        let spawn = move || spawn(&url, chaos);
        let mut children = Vec::new();
        for _ in 0..workers.max(1) {
            children.push(spawn()?);
        }
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keep(children, spawn, chaos, stopped));
        Ok(Self { stop, keeper })
    }

    /// Ends the processes; answers how many were killed before.
    pub(crate) async fn stop(self) -> u32 {
        // The keeper is gone only if it panicked, and then its children are killed already.
        let _ = self.stop.send(());
        self.keeper.await.unwrap_or(0)
    }
}

async fn keep(
    mut children: Vec<Child>,
    spawn: impl Fn() -> anyhow::Result<Child>,
    chaos: bool,
    mut stopped: oneshot::Receiver<()>,
) -> u32 {
    let (mut killed, wanted) = (0, children.len());
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = tokio::time::sleep(KILL_EVERY) => {}
        }
        if chaos {
            // The oldest first, so that every worker is met in its turn.
            if let Some(oldest) = children.first_mut() {
                killed += u32::from(oldest.kill().await.is_ok());
            }
        }
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        while children.len() < wanted {
            match spawn() {
                Ok(child) => children.push(child),
                Err(error) => {
                    eprintln!("cannot start another worker: {error:#}");
                    break;
                }
            }
        }
    }
    for child in &mut children {
        // Results are all read: nothing is lost with the workers.
        let _ = child.kill().await;
    }
    killed
}

fn spawn(url: &str, chaos: bool) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["run", "--log-level", "error"]).env("HEREAFTER_URL", url).env(WORKER, "1");
    if chaos {
        command.args(["--lease", CHAOS_LEASE]);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().context("cannot start a worker process")
}
