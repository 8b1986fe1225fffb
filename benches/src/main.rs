//! What Hereafter costs over the raw driver: `cargo run --release -p taskbench`.
//!
//! Every figure is measured beside a floor, a small loop that does the same durable work with
//! the raw driver and nothing else; runs of ours and of the floor alternate, each in a process
//! and a file of its own, and the ratio of the medians is what counts.

mod amqp;
mod delays;
mod fan_in;
mod floor;
mod floor_amqp;
mod floor_mysql;
mod floor_postgres;
mod idle;
mod mysql;
mod ours;
mod postgres;
mod server;
mod stream;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use taskservers::{MariaDb, Postgres};

/// Measures enqueueing and draining, beside a raw loop with the driver: on SQLite, or with
/// `postgres`, `mysql` or `amqp`.
#[derive(Debug, Parser)]
struct Options {
    /// Jobs of one run; 100,000 by default, 200,000 for `postgres`, `mysql` and `amqp`, 10,000 for
    /// `fan-in`, 1,000 for `amqp --delays`, 200,000 items for `stream`.
    #[arg(long, global = true)]
    jobs: Option<u64>,
    /// Runs of each side.
    #[arg(long, global = true, default_value_t = 5)]
    runs: usize,
    /// One short run of each side: does it work at all?
    #[arg(long, global = true)]
    quick: bool,
    /// `fan-in`, `idle`, `stream`, `postgres`, `mysql`, `amqp`, or one side of one run, which this program uses itself.
    #[command(subcommand)]
    side: Option<Side>,
}

/// One side of one run, in a process of its own.
#[derive(Debug, Clone, Subcommand)]
enum Side {
    /// Stores jobs through a client.
    OursEnqueue {
        url: String,
        jobs: u64,
        #[arg(default_value_t = ours::BATCH)]
        batch: u64,
        /// Nothing is left behind when they are done.
        #[arg(long)]
        bare: bool,
    },
    /// Stores jobs one by one, so many at a time.
    OursSingle { url: String, jobs: u64, at_once: usize },
    /// Stores the same rows through the driver.
    FloorEnqueue { path: String, jobs: u64 },
    /// Claims, runs nothing, and moves the rows to a finished table through the driver.
    FloorDrain { path: String },
    /// Stores one job that needs all the others.
    FanInEnqueue { url: String, jobs: u64 },
    /// Stores as many that nobody waits for.
    PlainEnqueue { url: String, jobs: u64 },
    /// Measures jobs that another one waits for, beside jobs that nobody waits for.
    FanIn,
    /// Measures a stream that is read live by another process, and what a report costs.
    Stream,
    /// Measures an idle worker: how soon it starts a job, and what it costs meanwhile.
    Idle,
    /// Measures all this on a PostgreSQL server of its own.
    Postgres(server::Options),
    /// Measures all this on a MariaDB server of its own.
    Mysql(server::Options),
    /// Measures all this on a RabbitMQ server of its own, or delays.
    Amqp(amqp::Options),
    /// Stores rows in batches of so many through the driver.
    PostgresFloorEnqueue { url: String, jobs: u64, batch: u64 },
    /// Claims them, runs nothing, and moves them to a finished table through the driver.
    PostgresFloorDrain { url: String },
    /// Stores rows in batches of so many through the driver.
    MysqlFloorEnqueue { url: String, jobs: u64, batch: u64 },
    /// Claims them, runs nothing, and moves them to a finished table through the driver.
    MysqlFloorDrain { url: String },
    /// Stores messages in batches of so many through the driver.
    AmqpFloorEnqueue { url: String, jobs: u64, batch: u64 },
    /// Stores messages one by one, so many at a time, through the driver.
    AmqpFloorSingle { url: String, jobs: u64, at_once: usize },
    /// Receives them, runs nothing, and replies to each through the driver.
    AmqpFloorDrain { url: String },
    /// The same without replies.
    AmqpFloorBare { url: String },
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// `None` is as many as the benchmark has by default.
    jobs: Option<u64>,
    runs: usize,
    /// Whether it is only to be seen whether it works.
    quick: bool,
}

impl Options {
    fn scale(&self) -> Scale {
        match self.quick {
            true => Scale { jobs: Some(5_000), runs: 1, quick: true },
            false => Scale { jobs: self.jobs, runs: self.runs.max(1), quick: false },
        }
    }
}

fn main() -> ExitCode {
    // Re-executed as a worker, this program is the worker's command line.
    if std::env::args_os().nth(1).is_some_and(|first| first == "run") {
        return hereafter::worker::main();
    }
    let options = Options::parse();
    let done = match options.side.clone() {
        Some(Side::Idle) => idle::measure_sqlite(),
        Some(Side::Postgres(chosen)) => {
            server::measure(Postgres::start(), &chosen, options.scale())
        }
        Some(Side::Mysql(chosen)) => server::measure(MariaDb::start(), &chosen, options.scale()),
        Some(Side::Amqp(chosen)) => amqp::measure(&chosen, options.scale()),
        Some(Side::FanIn) => fan_in::measure(options.scale()),
        Some(Side::Stream) => stream::measure(options.scale()),
        Some(side) => run_side(side),
        None => compare(options.scale()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_side(side: Side) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match side {
            Side::OursEnqueue { url, jobs, batch, bare } => {
                ours::enqueue(&url, jobs, batch, bare).await
            }
            Side::OursSingle { url, jobs, at_once } => {
                ours::enqueue_single(&url, jobs, at_once).await
            }
            Side::PostgresFloorEnqueue { url, jobs, batch } => {
                floor_postgres::enqueue(&url, jobs, batch).await
            }
            Side::PostgresFloorDrain { url } => floor_postgres::drain(&url).await,
            Side::MysqlFloorEnqueue { url, jobs, batch } => {
                floor_mysql::enqueue(&url, jobs, batch).await
            }
            Side::MysqlFloorDrain { url } => floor_mysql::drain(&url).await,
            Side::AmqpFloorEnqueue { url, jobs, batch } => {
                floor_amqp::enqueue(&url, jobs, batch).await
            }
            Side::AmqpFloorSingle { url, jobs, at_once } => {
                floor_amqp::enqueue_single(&url, jobs, at_once).await
            }
            Side::AmqpFloorDrain { url } => floor_amqp::drain(&url, true).await,
            Side::AmqpFloorBare { url } => floor_amqp::drain(&url, false).await,
            Side::FloorEnqueue { path, jobs } => floor::enqueue(&path, jobs).await,
            Side::FloorDrain { path } => floor::drain(&path).await,
            Side::FanInEnqueue { url, jobs } => fan_in::enqueue(&url, jobs).await,
            Side::PlainEnqueue { url, jobs } => fan_in::enqueue_plain(&url, jobs).await,
            Side::Idle
            | Side::FanIn
            | Side::Stream
            | Side::Postgres(_)
            | Side::Mysql(_)
            | Side::Amqp(_) => unreachable!("measured by processes, not on this runtime"),
        }
    })
}

/// Jobs per second of one side, a figure for each run.
#[derive(Debug, Default)]
struct Figures {
    enqueue: Vec<f64>,
    drain: Vec<f64>,
}

/// Jobs of one run, unless told otherwise.
const JOBS: u64 = 100_000;

fn compare(scale: Scale) -> anyhow::Result<()> {
    let (jobs, runs) = (scale.jobs.unwrap_or(JOBS), scale.runs);
    let (mut ours, mut floor) = (Figures::default(), Figures::default());
    for run in 1..=runs {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (own, raw) = (format!("sqlite://{}", path("ours.db")), path("floor.db"));
        let count = jobs.to_string();
        ours.enqueue.push(rate(jobs, timed(&["ours-enqueue", &own, &count])?));
        ours.drain.push(rate(jobs, timed_worker(&own)?));
        ensure!(ours::count_done(&own)? == jobs, "the worker left jobs undone");
        floor.enqueue.push(rate(jobs, timed(&["floor-enqueue", &raw, &count])?));
        floor.drain.push(rate(jobs, timed(&["floor-drain", &raw])?));
        eprintln!("run {run} of {runs} done");
    }
    println!(
        "SQLite, WAL, synchronous=FULL; {jobs} jobs, {runs} alternating runs, whole processes"
    );
    println!("{:<22} {:>12} {:>12} {:>7}   spread of ours", "", "ours/s", "floor/s", "ratio");
    line("enqueue, bulk", &mut ours.enqueue, &mut floor.enqueue);
    line("drain, one worker", &mut ours.drain, &mut floor.drain);
    Ok(())
}

fn line(what: &str, ours: &mut [f64], floor: &mut [f64]) {
    let (own, raw) = (median(ours), median(floor));
    let (min, max) = (ours[0], ours[ours.len() - 1]);
    println!("{what:<22} {own:>12.0} {raw:>12.0} {:>7.2}   {min:.0} to {max:.0}", own / raw);
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn rate(jobs: u64, span: Duration) -> f64 {
    jobs as f64 / span.as_secs_f64()
}

/// Runs this program with these arguments, and answers how long it took.
fn timed(args: &[&str]) -> anyhow::Result<Duration> {
    let mut command = Command::new(std::env::current_exe()?);
    time(command.args(args))
}

fn timed_worker(url: &str) -> anyhow::Result<Duration> {
    let mut command = Command::new(std::env::current_exe()?);
    time(command.args(["run", "--burst", "--log-level", "error"]).env("HEREAFTER_URL", url))
}

fn time(command: &mut Command) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let status = command.status().context("cannot run this program again")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(started.elapsed())
}
