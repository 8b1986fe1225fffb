//! One campaign: a server, two workers and a producer, and a fault.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use hereafter::broker::{EventKind, JobState, Lookup};
use hereafter::{Client, Followed, JobId, QueueName};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::audit::{Books, Findings};
use crate::fault::{Fault, Progress, Strike, Struck};
use crate::ledger::{Fact, Reader};
use crate::pace::Pace;
use crate::process::Process;
use crate::producer::{Load, Producer};
use crate::report::Report;
use crate::server::{Kind, Server};
use crate::snapshot;
use crate::worker::{LEDGER, TASK};

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    pub(crate) load: Load,
    /// How long a snapshot is held.
    pub(crate) hold: Duration,
}

/// The processes of the system, and what they write down.
struct System {
    producer: Process,
    workers: Vec<Process>,
    ledgers: Vec<Reader>,
    /// The calls that were acknowledged, and those that ran to their end.
    acknowledged: u64,
    ended: BTreeSet<u64>,
    url: String,
}

impl Campaign {
    /// Runs it to its end; an error if the campaign itself could not be run.
    pub(crate) async fn run(&self) -> anyhow::Result<Report> {
        let folder = tempfile::tempdir()?;
        let Self { kind, fault, load, hold } = *self;
        let server = tokio::task::spawn_blocking(move || Server::start(kind, fault)).await??;
        let url = format!("{}?events={EVENTS}", server.url());
        // So that the tables are there.
        Client::open(url.clone()).await?.close().await?;
        let mut system = System::start(&url, folder.path(), &self.load)?;
        let (progress, seen) = watch::channel(Progress::default());
        let strike = Strike { fault, jobs: load.jobs, seed: load.seed, hold };
        let (unfinished, (server, struck)) =
            tokio::try_join!(system.drive(load, &progress), strike.run(server, seen))?;
        let ledgers = system.stop()?;
        let report = self.report(&url, &ledgers, &struck, unfinished).await;
        let mut report = report?;
        if let (Fault::Snapshot, Server::Postgres(server)) = (fault, &server) {
            report.phases = snapshot::phases(&server.log(), &struck, report.started)?;
        }
        drop(server);
        Ok(report)
    }

    async fn report(
        &self,
        url: &str,
        ledgers: &[Reader],
        struck: &Struck,
        is_finished: bool,
    ) -> anyhow::Result<Report> {
        let entries = || ledgers.iter().flat_map(Reader::entries);
        let mut jobs: BTreeSet<JobId> = BTreeSet::new();
        jobs.extend(entries().filter_map(|entry| match entry.fact {
            Fact::Acknowledged(job) | Fact::Began(job) => Some(job),
            _ => None,
        }));
        let client = Client::open(url).await?;
        let books = books(&client, &jobs.into_iter().collect::<Vec<_>>()).await?;
        client.close().await?;
        let ends = entries().filter(|entry| matches!(entry.fact, Fact::Ended(_)));
        let pace = Pace::of(ends.map(|entry| entry.at));
        let findings = Findings::of(entries(), &books);
        Ok(Report::of(self, findings, &pace, struck, is_finished))
    }
}

impl System {
    fn start(url: &str, folder: &Path, load: &Load) -> anyhow::Result<Self> {
        let mut ledgers = Vec::new();
        let mut ledger = |name: &str| {
            let path = folder.join(format!("{name}.ledger"));
            ledgers.push(Reader::new(path.clone()));
            path
        };
        let mut workers = Vec::new();
        for name in ["worker-1", "worker-2"] {
            let path = ledger(name);
            let variables = [(LEDGER, path.as_os_str()), ("HEREAFTER_URL", url.as_ref())];
            let args = ["run", "--name", name, "--log-level", "warn"];
            workers.push(Process::start(name, folder, &args, &variables)?);
        }
        let args = Producer::arguments(url, &ledger("producer"), load);
        let args = [vec!["produce".to_owned()], args].concat();
        let producer = Process::start("producer", folder, &args, &[])?;
        let (acknowledged, ended) = (0, BTreeSet::new());
        Ok(Self { producer, workers, ledgers, acknowledged, ended, url: url.to_owned() })
    }

    /// Watches until every job has ended, or nothing has for too long; whether they have.
    async fn drive(
        &mut self,
        load: Load,
        progress: &watch::Sender<Progress>,
    ) -> anyhow::Result<bool> {
        let bar = bar(load.jobs);
        let (mut last, mut moved) = (0, Instant::now());
        let mut is_stored = false;
        let is_finished = loop {
            self.workers.iter_mut().try_for_each(Process::must_run)?;
            // Before the ledger is read: then what was read is all of it.
            is_stored = is_stored || self.producer.has_ended()?;
            self.read()?;
            bar.set_position(self.ended.len() as u64);
            let done = self.acknowledged + self.ended.len() as u64;
            if done > last {
                (last, moved) = (done, Instant::now());
            }
            let is_quiet = self.ended.len() as u64 >= self.acknowledged || moved.elapsed() > PAUSE;
            if is_stored && is_quiet && self.is_drained().await {
                break true;
            }
            if moved.elapsed() > STUCK {
                break false;
            }
            progress.send_replace(Progress { acknowledged: self.acknowledged, is_over: false });
            sleep(LOOK).await;
        };
        bar.finish_and_clear();
        progress.send_replace(Progress { acknowledged: self.acknowledged, is_over: true });
        if !is_stored {
            bail!("the producer has stored nothing for {STUCK:?}");
        }
        Ok(is_finished)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        for ledger in &mut self.ledgers {
            for entry in ledger.read()? {
                match entry.fact {
                    Fact::Acknowledged(_) => self.acknowledged += 1,
                    Fact::Ended(_) => drop(self.ended.insert(entry.call)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether no job is open. A store that cannot be asked now is asked again.
    async fn is_drained(&self) -> bool {
        let asked = async {
            let client = Client::open(&self.url).await?;
            let open = open_jobs(&client).await?;
            client.close().await?;
            anyhow::Ok(open)
        };
        matches!(asked.await, Ok(0))
    }

    /// Ends the workers in good order; what everybody wrote down.
    fn stop(mut self) -> anyhow::Result<Vec<Reader>> {
        self.workers.drain(..).try_for_each(|worker| worker.stop(STOP))?;
        self.ledgers.iter_mut().try_for_each(Reader::finish)?;
        Ok(self.ledgers)
    }
}

async fn open_jobs(client: &Client) -> anyhow::Result<u64> {
    let open = client.connection().context("the client has no connection")?;
    let depths = open.broker.depth(&[QueueName::DEFAULT]).await?;
    let states = |depth: &hereafter::broker::Depth| {
        [depth.ready, depth.scheduled, depth.blocked, depth.running]
            .into_iter()
            .flatten()
            .sum::<u64>()
    };
    Ok(depths.iter().map(states).sum())
}

/// What the store says of these jobs.
async fn books(client: &Client, jobs: &[JobId]) -> anyhow::Result<Books> {
    let mut books = Books { open: open_jobs(client).await?, ..Books::default() };
    for (job, lookup) in client.outcomes(jobs).await? {
        let is_done = matches!(lookup, Lookup::Final(outcome) if outcome.state == JobState::Done);
        books.done.insert(job, is_done);
    }
    let mut events = client.events().from_oldest().until_quiet(QUIET).boxed();
    while let Some(followed) = events.try_next().await? {
        match followed {
            Followed::Event(event) if event.kind == EventKind::Done => {
                *books.verdicts.entry(event.job).or_default() += 1;
            }
            Followed::Event(_) => {}
            Followed::Missed(count) => bail!("the store has dropped {count} events"),
        }
    }
    let stats = client.stats().await?;
    for stats in stats.iter().filter(|stats| stats.task == TASK) {
        books.stored += stats.stored;
        books.ended_done += stats.done;
        books.failures += stats.failed + stats.retried;
        books.leases_lost += stats.lost;
    }
    Ok(books)
}

/// A bar with rate and time left; hidden where no terminal is there.
fn bar(jobs: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} jobs  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style)
        .expect("the template is a constant that is tried by every run");
    ProgressBar::new(jobs).with_style(style)
}

/// More events than any campaign has, so that all of them are kept.
const EVENTS: u32 = 1_000_000_000;

/// How often the ledgers are read.
const LOOK: Duration = Duration::from_millis(100);

/// After so long without a job run the store is asked whether there is none: what is lost is not
/// waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// After so long without a job stored or run there will be none: leases of 30 s have ended.
const STUCK: Duration = Duration::from_secs(90);

/// Longer than a worker's grace.
const STOP: Duration = Duration::from_secs(40);

/// Events are told in order, so nothing for so long is the end of them.
const QUIET: Duration = Duration::from_millis(500);
