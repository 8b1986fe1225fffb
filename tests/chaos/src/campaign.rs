//! One campaign: a server, two workers and a producer, and a fault.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use hereafter::{Client, JobId};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::audit::Findings;
use crate::books::{is_drained, records};
use crate::fault::{Fault, Progress, Strike, Struck};
use crate::ledger::{Fact, Reader, now};
use crate::pace::Pace;
use crate::process::Process;
use crate::producer::{Load, Producer};
use crate::report::Report;
use crate::server::{Kind, Server};
use crate::snapshot;
use crate::story::Outage;
use crate::worker::LEDGER;

/// What is done.
#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    pub(crate) load: Load,
    /// How long a snapshot is held.
    pub(crate) hold: Duration,
    /// The folder in which ledgers and logs are kept.
    pub(crate) keep: Option<PathBuf>,
}

/// The processes of the system, and what they write down.
struct System {
    producer: Process,
    workers: Vec<Process>,
    ledgers: Vec<Reader>,
    /// The calls that were acknowledged, and those that ran to their end.
    acknowledged: u64,
    ended: BTreeSet<u64>,
    /// When the last delayed job is due, in microseconds.
    last_due: u64,
    /// After so long without a job run, and after the last one is due, the server is asked whether
    /// there is none: what is lost is not waited for.
    patience: Duration,
    url: String,
}

impl Campaign {
    /// Runs it to its end; an error if the campaign itself could not be run.
    pub(crate) async fn run(&self) -> anyhow::Result<Report> {
        let temporary = tempfile::tempdir()?;
        let folder = self.keep.as_deref().unwrap_or(temporary.path());
        let Self { kind, fault, load, hold, .. } = *self;
        let path = folder.to_owned();
        let starting = tokio::task::spawn_blocking(move || Server::start(kind, Some(fault), &path));
        let server = starting.await??;
        let url = server.url(0, EVENTS)?;
        // So that the tables are there.
        Client::open(url.clone()).await?.close().await?;
        let mut system = System::start(&server, self, folder)?;
        let (progress, seen) = watch::channel(Progress::default());
        let strike = Strike { fault, jobs: load.jobs, seed: load.seed, hold };
        let (is_finished, (server, struck)) =
            tokio::try_join!(system.drive(load, &progress), strike.run(server, seen))?;
        let ledgers = system.stop()?;
        let mut report = self.report(&url, &ledgers, &struck, is_finished).await?;
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
        let records = records(&client, self.kind, &jobs.into_iter().collect::<Vec<_>>()).await?;
        client.close().await?;
        let ends = entries().filter(|entry| matches!(entry.fact, Fact::Ended(_)));
        let pace = Pace::of(ends.map(|entry| entry.at));
        let outage = Outage { from: struck.from, until: struck.until };
        let findings = Findings::of(entries(), &records, outage);
        Ok(Report::of(self, findings, &pace, struck, is_finished))
    }
}

impl System {
    fn start(server: &Server, campaign: &Campaign, folder: &Path) -> anyhow::Result<Self> {
        // Logs that are kept are those of somebody who looks for something.
        let log_level = if campaign.keep.is_some() { "debug" } else { "warn" };
        let mut ledgers = Vec::new();
        let mut ledger = |name: &str| {
            let path = folder.join(format!("{name}.ledger"));
            ledgers.push(Reader::new(path.clone()));
            path
        };
        let mut workers = Vec::new();
        for (number, name) in ["worker-1", "worker-2"].into_iter().enumerate() {
            let (path, url) = (ledger(name), server.url(number, EVENTS)?);
            let variables = [(LEDGER, path.as_os_str()), ("HEREAFTER_URL", url.as_ref())];
            let args = ["run", "--name", name, "--log-level", log_level];
            workers.push(Process::start(name, folder, &args, &variables)?);
        }
        let url = server.url(workers.len(), EVENTS)?;
        let args = Producer::arguments(&url, &ledger("producer"), &campaign.load);
        let args = [vec!["produce".to_owned()], args].concat();
        let producer = Process::start("producer", folder, &args, &[])?;
        Ok(Self {
            producer,
            workers,
            ledgers,
            acknowledged: 0,
            ended: BTreeSet::new(),
            last_due: 0,
            patience: if campaign.kind.is_without_store() { LONG_PAUSE } else { PAUSE },
            url,
        })
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
            let is_over = self.ended.len() as u64 >= self.acknowledged;
            let is_quiet = (is_over || moved.elapsed() > self.patience) && self.are_all_due();
            if is_stored && is_quiet && is_drained(&self.url).await {
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
                    Fact::Delayed(due) => self.last_due = self.last_due.max(due),
                    Fact::Ended(_) => drop(self.ended.insert(entry.call)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether every delayed job has had its time, and a second to come.
    fn are_all_due(&self) -> bool {
        now() > self.last_due + 1_000_000
    }

    /// Ends the workers in good order; what everybody wrote down.
    fn stop(mut self) -> anyhow::Result<Vec<Reader>> {
        self.workers.drain(..).try_for_each(|worker| worker.stop(STOP))?;
        self.ledgers.iter_mut().try_for_each(Reader::finish)?;
        Ok(self.ledgers)
    }
}

/// A bar with rate and time left; hidden where no terminal is there.
pub(crate) fn bar(jobs: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} jobs  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style)
        .expect("the template is a constant that is tried by every run");
    ProgressBar::new(jobs).with_style(style)
}

/// More events than any campaign has, so that all of them are kept.
const EVENTS: u32 = 1_000_000_000;

/// How often the ledgers are read.
const LOOK: Duration = Duration::from_millis(100);

/// A store knows whether jobs are open.
const PAUSE: Duration = Duration::from_secs(1);

/// RabbitMQ alone knows it only of those that are ready, and not of those that are on their way: a
/// step of the ladder whose confirms were lost by a fault moves jobs again after 5 s.
const LONG_PAUSE: Duration = Duration::from_secs(40);

/// After so long without a job stored or run there will be none: leases of 30 s have ended.
const STUCK: Duration = Duration::from_secs(90);

/// Longer than a worker's grace.
const STOP: Duration = Duration::from_secs(40);
