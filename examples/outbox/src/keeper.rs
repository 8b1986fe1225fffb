//! Processes that are killed and started again.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A kind of process; each is this program, re-executed.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// It says where it listens, and that is passed on.
    Service {
        apart: bool,
        address: watch::Sender<String>,
    },
    Worker,
}

impl Role {
    /// Starts a process, and waits until it says that it is there.
    pub(crate) async fn start(&self, url: &str) -> anyhow::Result<Child> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(["--url", url]).stdin(Stdio::null()).kill_on_drop(true);
        let (apart, address) = match self {
            Self::Worker => {
                command.args(["work", "--lease", LEASE]);
                return command.spawn().context("cannot start a worker");
            }
            Self::Service { apart, address } => (*apart, address),
        };
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(apart.then_some("--apart"));
        let mut service =
            command.stdout(Stdio::piped()).spawn().context("cannot start a service")?;
        let output = service.stdout.take().context("the service has no output")?;
        let mut line = String::new();
        let first = timeout(START, BufReader::new(output).read_line(&mut line)).await;
        first.context("the service does not start")??;
        let Some(here) = line.trim().strip_prefix("listening on ") else {
            bail!("the service ended: {}", service.wait().await?);
        };
        address.send_replace(here.to_owned());
        Ok(service)
    }

    /// How long a process may live, in microseconds.
    fn lives(&self) -> std::ops::Range<u64> {
        match self {
            Self::Service { .. } => 20_000..2_000_000,
            // From when it is started, so some are killed before they work.
            Self::Worker => 20_000..4_000_000,
        }
    }

    /// Kills one process after the other, at random points, until the time is up; answers how many.
    pub(crate) async fn kill_on(
        &self,
        url: &str,
        seed: u64,
        until: Instant,
    ) -> anyhow::Result<u32> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut kills = 0;
        while Instant::now() < until {
            let mut process = self.start(url).await?;
            let life = Duration::from_micros(random.random_range(self.lives()));
            tokio::select! {
                ended = process.wait() => bail!("{self:?} ended by itself: {}", ended?),
                () = sleep(life) => {}
            }
            kill(&mut process).await?;
            kills += 1;
        }
        Ok(kills)
    }
}

/// Kills a process, without a chance to do anything more.
pub(crate) async fn kill(process: &mut Child) -> anyhow::Result<ExitStatus> {
    process.start_kill().context("cannot kill a process")?;
    Ok(process.wait().await?)
}

/// What a killed worker had in hand is another's after this many seconds.
const LEASE: &str = "2";

const START: Duration = Duration::from_secs(60);
