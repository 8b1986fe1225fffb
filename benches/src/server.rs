//! PostgreSQL, MariaDB and RabbitMQ: all figures on a server of its own, with its own durability.

use std::collections::BTreeMap;

use anyhow::ensure;
use clap::Args;

use crate::{Scale, idle, line, ours, rate, timed, timed_worker};

/// Jobs of one run, unless told otherwise.
const JOBS: u64 = 200_000;

/// Jobs stored one by one.
const SINGLE: u64 = 20_000;

/// Of those, the ones that are stored one after the other.
const ONE_AT_A_TIME: u64 = 2_000;

/// Jobs of the largest batch.
const BULK: u64 = 100_000;

/// What is measured on a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Rows that are there besides, of each kind: ready in another queue, scheduled for tomorrow,
    /// and finished.
    #[arg(long, default_value_t = 0)]
    pub(crate) extra: u64,
    /// Measure an idle worker instead.
    #[arg(long)]
    pub(crate) idle: bool,
}

/// A server that is measured on.
pub(crate) trait Server {
    /// What it is, and how durable.
    const NAME: &'static str;

    /// The sides of the floor: storing in batches, draining.
    const FLOOR: [&'static str; 2];

    /// The side of the floor that stores so many at once, where that is not a batch of so many.
    const FLOOR_AT_ONCE: Option<&'static str> = None;

    /// The side of the floor that drains and leaves nothing behind, where that is measured beside.
    const FLOOR_BARE: Option<&'static str> = None;

    /// Where the floor is.
    fn raw(&self) -> String;

    /// A store of ours, one for each run.
    fn store(&self, run: usize) -> String;

    fn drop_store(&self, run: usize);

    /// How many jobs of that store are done, if none is left over.
    fn count_done(&self, run: usize) -> anyhow::Result<u64> {
        ours::count_done(&self.store(run))
    }

    /// Adds rows to a store that are nobody's business.
    fn fill(&self, run: usize, extra: u64);
}

/// Prints the rates of both sides, and their ratio.
pub(crate) fn measure<S: Server>(server: S, options: &Options, scale: Scale) -> anyhow::Result<()> {
    if options.idle {
        return idle::measure(S::NAME, &server.store(0));
    }
    let (jobs, runs) = (scale.jobs.unwrap_or(JOBS), scale.runs);
    let mut lab = Lab { server, extra: options.extra, jobs, figures: BTreeMap::new() };
    for run in 1..=runs {
        lab.run(run)?;
        eprintln!("run {run} of {runs} done");
    }
    println!("{}; {jobs} jobs, {runs} alternating runs, whole processes", S::NAME);
    println!("{:<28} {:>10} {:>10} {:>7}   spread of ours", "", "ours/s", "floor/s", "ratio");
    let show = |what: &str, ours: Of, floor: Of| {
        let mut ours = lab.figures.get(&ours).cloned().unwrap_or_default();
        let mut floor = lab.figures.get(&floor).cloned().unwrap_or_default();
        if !ours.is_empty() {
            line(what, &mut ours, &mut floor);
        }
    };
    show("enqueue, one by one", Of::Ones, Of::OnesFloor);
    show("enqueue, 64 at once", Of::Many, Of::ManyFloor);
    show("enqueue, batches of 1,000", Of::Batches, Of::BatchesFloor);
    show("enqueue, batches of 100,000", Of::Bulk, Of::BulkFloor);
    show("drain, one worker", Of::Drain, Of::DrainFloor);
    show("drain, no results kept", Of::Bare, Of::BareFloor);
    if options.extra > 0 {
        println!("beside {} others of each kind; the floor is ours without them", options.extra);
        show("drain, one worker", Of::FullDrain, Of::Drain);
    }
    Ok(())
}

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Ones,
    OnesFloor,
    Many,
    ManyFloor,
    Batches,
    BatchesFloor,
    Bulk,
    BulkFloor,
    Drain,
    DrainFloor,
    /// Nothing is left behind.
    Bare,
    BareFloor,
    /// Beside other rows.
    FullDrain,
}

struct Lab<S> {
    server: S,
    extra: u64,
    jobs: u64,
    /// Jobs per second, one figure for each run.
    figures: BTreeMap<Of, Vec<f64>>,
}

impl<S: Server> Lab<S> {
    fn run(&mut self, run: usize) -> anyhow::Result<()> {
        let (jobs, raw, url) = (self.jobs, self.server.raw(), self.server.store(run));
        let [floor_enqueue, floor_drain] = S::FLOOR;
        // So that the tables are there.
        timed(&["ours-enqueue", &url, "0"])?;
        let (ones, many) = (jobs.min(ONE_AT_A_TIME), jobs.min(SINGLE));
        self.time(Of::Ones, ones, &["ours-single", &url, "JOBS", "1"])?;
        self.time(Of::OnesFloor, ones, &[floor_enqueue, &raw, "JOBS", "1"])?;
        self.time(Of::Many, many, &["ours-single", &url, "JOBS", "64"])?;
        let at_once = S::FLOOR_AT_ONCE.unwrap_or(floor_enqueue);
        self.time(Of::ManyFloor, many, &[at_once, &raw, "JOBS", "64"])?;
        let bulk = jobs.min(BULK);
        let size = BULK.to_string();
        self.time(Of::Bulk, bulk, &["ours-enqueue", &url, "JOBS", &size])?;
        self.time(Of::BulkFloor, bulk, &[floor_enqueue, &raw, "JOBS", &size])?;
        // Not measured: it is so that the next drain has only its own jobs.
        timed_worker(&url)?;
        let before = self.server.count_done(run)?;
        self.time(Of::Batches, jobs, &["ours-enqueue", &url, "JOBS"])?;
        self.drain(Of::Drain, run, before + jobs)?;
        self.time(Of::BatchesFloor, jobs, &[floor_enqueue, &raw, "JOBS", "1000"])?;
        self.time(Of::DrainFloor, jobs, &[floor_drain, &raw])?;
        if let Some(floor_bare) = S::FLOOR_BARE {
            let count = jobs.to_string();
            timed(&["ours-enqueue", &url, &count, "--bare"])?;
            self.drain(Of::Bare, run, before + jobs)?;
            timed(&[floor_enqueue, &raw, &count, "1000"])?;
            self.time(Of::BareFloor, jobs, &[floor_bare, &raw])?;
        }
        self.server.drop_store(run);
        if self.extra > 0 { self.run_beside_others(run) } else { Ok(()) }
    }

    fn run_beside_others(&mut self, run: usize) -> anyhow::Result<()> {
        let url = self.server.store(run);
        timed(&["ours-enqueue", &url, "0"])?;
        self.server.fill(run, self.extra);
        timed(&["ours-enqueue", &url, &self.jobs.to_string()])?;
        self.drain(Of::FullDrain, run, self.jobs)?;
        self.server.drop_store(run);
        Ok(())
    }

    /// Runs one side, with the number of jobs in place of `JOBS`.
    fn time(&mut self, of: Of, jobs: u64, args: &[&str]) -> anyhow::Result<()> {
        let count = jobs.to_string();
        let args: Vec<_> =
            args.iter().map(|arg| if *arg == "JOBS" { count.as_str() } else { arg }).collect();
        let figure = rate(jobs, timed(&args)?);
        self.figures.entry(of).or_default().push(figure);
        Ok(())
    }

    /// Runs a worker until nothing is left, after which so many jobs have been done and tell of it.
    fn drain(&mut self, of: Of, run: usize, done: u64) -> anyhow::Result<()> {
        let figure = rate(self.jobs, timed_worker(&self.server.store(run))?);
        ensure!(self.server.count_done(run)? == done, "jobs were left undone");
        self.figures.entry(of).or_default().push(figure);
        Ok(())
    }
}
