//! The process that stores jobs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::future::try_join_all;
use hereafter::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::ledger::{Fact, Ledger};
use crate::worker::{end_with_parent, note};

/// How many jobs it stores, and how fast.
#[derive(Debug, Clone, Args)]
pub(crate) struct Producer {
    #[arg(long)]
    url: String,
    #[arg(long)]
    ledger: PathBuf,
    /// Jobs to be acknowledged.
    #[arg(long)]
    jobs: u64,
    /// The seconds over which they are spread, if nothing is in the way.
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    seed: u64,
}

/// One of several callers at a time.
struct Lane {
    client: Client,
    ledger: Ledger,
    /// When the next call is due, if nothing is in the way: from then on, one each `pace`.
    due: Instant,
    pace: Duration,
    /// The number of the next call; those of other lanes are far away.
    next: u64,
    /// Jobs to be acknowledged still.
    left: u64,
    random: StdRng,
}

impl Producer {
    /// The arguments from which it is parsed.
    pub(crate) fn arguments(url: &str, ledger: &Path, load: &Load) -> Vec<String> {
        let ledger = ledger.display().to_string();
        let [jobs, seconds, seed] = [load.jobs, load.seconds, load.seed].map(|it| it.to_string());
        let pairs = [
            ["--url", url],
            ["--ledger", &ledger],
            ["--jobs", &jobs],
            ["--seconds", &seconds],
            ["--seed", &seed],
        ];
        pairs.concat().into_iter().map(str::to_owned).collect()
    }

    /// Stores jobs until as many as were asked for are acknowledged.
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        end_with_parent();
        let client = Client::open(&self.url).await?;
        let ledger = Ledger::open(&self.ledger)?;
        let (due, span) = (Instant::now(), Duration::from_secs(self.seconds));
        let lanes = (0..LANES).map(|lane| {
            let left = self.jobs / LANES + u64::from(lane < self.jobs % LANES);
            Lane {
                client: client.clone(),
                ledger: ledger.clone(),
                due,
                pace: span.div_f64(left.max(1) as f64),
                next: lane << 32,
                left,
                random: StdRng::seed_from_u64(self.seed.wrapping_add(lane)),
            }
        });
        try_join_all(lanes.map(Lane::run)).await?;
        Ok(client.close().await?)
    }
}

/// What a campaign lets a producer do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) jobs: u64,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
}

/// Calls under way at a time.
const LANES: u64 = 32;

/// The most jobs of one `delay_all`.
const BATCH: u64 = 50;

/// How long a lane rests after an error.
const REST: Duration = Duration::from_millis(50);

impl Lane {
    async fn run(mut self) -> anyhow::Result<()> {
        while self.left > 0 {
            // Half of the calls are stored alone, the others in batches.
            let is_alone: bool = self.random.random();
            let wanted = if is_alone { 1 } else { self.random.random_range(2..=BATCH) };
            let count = wanted.min(self.left);
            let due = self.due + self.pace * u32::try_from(count)?;
            sleep_until(due).await;
            if self.store(count).await? {
                (self.left, self.due) = (self.left - count, due);
            } else {
                sleep(REST.mul_f64(self.random.random_range(0.5..1.5))).await;
            }
        }
        Ok(())
    }

    /// Stores so many calls at once; whether they were acknowledged. Those that were not are not
    /// repeated: nobody knows of them, and others take their place.
    async fn store(&mut self, count: u64) -> std::io::Result<bool> {
        let calls = self.next..self.next + count;
        self.next = calls.end;
        self.ledger.write_all(calls.clone().map(|call| (call, Fact::Attempted)))?;
        let stored = match count {
            1 => note(calls.start).delay_on(&self.client).await.map(|handle| vec![handle]),
            _ => self.client.delay_all(calls.clone().map(note)).await,
        };
        let Ok(handles) = stored else {
            self.ledger.write_all(calls.map(|call| (call, Fact::Unknown)))?;
            return Ok(false);
        };
        let jobs = calls.zip(handles);
        let facts = jobs.map(|(call, handle)| (call, Fact::Acknowledged(handle.id())));
        self.ledger.write_all(facts)?;
        Ok(true)
    }
}
