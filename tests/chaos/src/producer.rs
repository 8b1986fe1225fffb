//! The process that stores jobs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::future::{join_all, try_join_all};
use hereafter::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::STRIKES;
use crate::ledger::{Fact, Ledger, now};
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
    /// Those of them that are delayed until after the fault.
    #[arg(long)]
    delayed: u64,
    #[arg(long)]
    seed: u64,
    /// The number of the first call.
    #[arg(long)]
    first: u64,
    /// Store calls again whose answer is unknown, as a program does that wants them to run.
    #[arg(long)]
    repeat: bool,
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
    /// Jobs to be acknowledged still, and how many of them are delayed.
    left: u64,
    delayed: u64,
    /// When the first delayed job is due, and over which time they are.
    first_due: Instant,
    dues: Duration,
    is_repeating: bool,
    random: StdRng,
}

impl Producer {
    /// The arguments from which it is parsed.
    pub(crate) fn arguments(url: &str, ledger: &Path, load: &Load) -> Vec<String> {
        let ledger = ledger.display().to_string();
        let numbers = [load.jobs, load.seconds, load.delayed, load.seed, load.first];
        let [jobs, seconds, delayed, seed, first] = numbers.map(|it| it.to_string());
        let pairs = [
            ["--url", url],
            ["--ledger", &ledger],
            ["--jobs", &jobs],
            ["--seconds", &seconds],
            ["--delayed", &delayed],
            ["--seed", &seed],
            ["--first", &first],
        ];
        let repeat = load.is_repeating.then_some("--repeat");
        pairs.concat().into_iter().chain(repeat).map(str::to_owned).collect()
    }

    /// Stores jobs until as many as were asked for are acknowledged.
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        end_with_parent();
        let client = Client::open(&self.url).await?;
        let ledger = Ledger::open(&self.ledger)?;
        let (due, span) = (Instant::now(), Duration::from_secs(self.seconds));
        let lanes = (0..LANES).map(|lane| {
            let share = |all: u64| all / LANES + u64::from(lane < all % LANES);
            let left = share(self.jobs);
            Lane {
                client: client.clone(),
                ledger: ledger.clone(),
                due,
                pace: span.div_f64(left.max(1) as f64),
                next: self.first + (lane << 32),
                left,
                delayed: share(self.delayed),
                first_due: due + span.mul_f64(STRIKES.end),
                dues: span.mul_f64(2.0 / 3.0),
                is_repeating: self.repeat,
                random: StdRng::seed_from_u64(self.seed.wrapping_add(lane)),
            }
        });
        try_join_all(lanes.map(Lane::run)).await?;
        Ok(client.close().await?)
    }
}

/// What a campaign lets a producer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) jobs: u64,
    pub(crate) seconds: u64,
    /// How many of the jobs are delayed until after the fault.
    pub(crate) delayed: u64,
    pub(crate) seed: u64,
    /// The number of the first call.
    pub(crate) first: u64,
    /// Whether calls are stored again whose answer is unknown.
    pub(crate) is_repeating: bool,
}

/// Calls under way at a time.
const LANES: u64 = 32;

/// The most jobs of one `delay_all`.
const BATCH: u64 = 50;

/// How long a lane rests after an error.
const REST: Duration = Duration::from_millis(50);

/// The most of the jobs that are delayed: they are stored before a fault strikes.
pub(crate) const MOST_DELAYED: f64 = 0.3;

/// The least that a job is delayed.
const SHORTEST: Duration = Duration::from_millis(500);

impl Lane {
    async fn run(mut self) -> anyhow::Result<()> {
        while self.left > 0 {
            // Half of the calls are stored alone, the others in batches.
            let is_alone: bool = self.random.random();
            let wanted = if is_alone { 1 } else { self.random.random_range(2..=BATCH) };
            let is_delayed = self.delayed > 0;
            let count = wanted.min(if is_delayed { self.delayed } else { self.left });
            let due = self.due + self.pace * u32::try_from(count)?;
            sleep_until(due).await;
            let calls = (self.next..self.next + count).collect();
            self.next += count;
            let stored =
                if is_delayed { self.delay(calls).await? } else { self.store(calls).await? };
            if is_delayed {
                self.delayed -= stored;
            }
            self.left -= stored;
            if stored == count {
                self.due = due;
            }
        }
        Ok(())
    }

    /// Stores these calls at once; how many were acknowledged.
    async fn store(&mut self, calls: Vec<u64>) -> std::io::Result<u64> {
        loop {
            self.ledger.write_all(calls.iter().map(|call| (*call, Fact::Attempted)))?;
            let stored = match calls[..] {
                [call] => note(call).delay_on(&self.client).await.map(|handle| vec![handle]),
                _ => self.client.delay_all(calls.iter().map(|call| note(*call))).await,
            };
            if let Ok(handles) = stored {
                let jobs = calls.iter().zip(handles);
                let facts = jobs.map(|(call, handle)| (*call, Fact::Acknowledged(handle.id())));
                self.ledger.write_all(facts)?;
                return Ok(calls.len() as u64);
            }
            self.ledger.write_all(calls.iter().map(|call| (*call, Fact::Unknown)))?;
            self.rest().await;
            if !self.is_repeating {
                return Ok(0);
            }
        }
    }

    /// Stores these calls to run later, each at its time; how many were acknowledged.
    async fn delay(&mut self, mut calls: Vec<u64>) -> std::io::Result<u64> {
        let mut stored = 0;
        loop {
            let waits: Vec<Duration> = calls.iter().map(|_| self.wait()).collect();
            let now = now();
            let due = |wait: Duration| now + wait.as_micros() as u64;
            let facts = calls.iter().zip(&waits);
            self.ledger.write_all(facts.map(|(call, wait)| (*call, Fact::Delayed(due(*wait)))))?;
            let storing = calls.iter().zip(waits);
            let storing =
                storing.map(|(call, wait)| self.client.scope(note(*call).call_after(wait)));
            let answers = join_all(storing).await;
            let facts = calls.iter().zip(&answers).map(|(call, answer)| match answer {
                Ok(handle) => (*call, Fact::Acknowledged(handle.id())),
                Err(_) => (*call, Fact::Unknown),
            });
            self.ledger.write_all(facts)?;
            stored += answers.iter().filter(|answer| answer.is_ok()).count() as u64;
            let mut answers = answers.iter();
            calls.retain(|_| answers.next().is_some_and(Result::is_err));
            if calls.is_empty() {
                return Ok(stored);
            }
            self.rest().await;
            if !self.is_repeating {
                return Ok(stored);
            }
        }
    }

    /// How long the next delayed job waits.
    fn wait(&mut self) -> Duration {
        let due = self.first_due + self.dues.mul_f64(self.random.random());
        due.saturating_duration_since(Instant::now()).max(SHORTEST)
    }

    /// After an error.
    async fn rest(&mut self) {
        sleep(REST.mul_f64(self.random.random_range(0.5..1.5))).await;
    }
}
