//! A fault campaign on a real server of its own: what is lost, run twice, or slow to come back.
//!
//! `cargo run --release -p taskchaos -- postgres --seconds 600 --seed 1`
//!
//! Two workers and two producers, each a process, work while everything goes wrong at random: a storm.
//! With `--fault restart` and its like, one thing happens to the server that two workers and a producer
//! work on, and it is measured how work comes back.
//!
//! Each process writes down what it does in a file outside of the system; in the end these ledgers and the store
//! are compared. A fault in the books ends this program with 1, a campaign that could not be run
//! with 2.

mod audit;
mod books;
mod campaign;
mod fault;
mod ledger;
mod pace;
mod process;
mod producer;
mod rabbitmq;
mod report;
mod server;
mod snapshot;
mod storm;
mod story;
mod table;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use tokio::runtime::Runtime;

use campaign::Campaign;
use fault::Fault;
use producer::{Load, MOST_DELAYED, Producer};
use rabbitmq::Results;
use server::Kind;
use storm::Storm;

/// Lets everything go wrong while jobs are stored and run, and looks at what becomes of them.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// On a private PostgreSQL server, with its durable defaults
    Postgres(Options),
    /// On a private MariaDB server, with its durable defaults
    Mysql(Options),
    /// On a private RabbitMQ server, or a cluster of three nodes, alone or with a store
    Amqp(AmqpOptions),
    /// In a file of SQLite
    Sqlite(Options),
    /// The process that stores jobs; this program starts it
    #[command(hide = true)]
    Produce(Producer),
}

#[derive(Debug, Args)]
struct Options {
    /// The one thing that happens to the server; by default everything goes wrong at random
    #[arg(long)]
    fault: Option<Fault>,
    /// Jobs to be stored
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// The seconds over which they are spread; by default 60, or what the fault needs
    #[arg(long)]
    seconds: Option<u64>,
    /// Sizes of batches, and what goes wrong when, follow from it; random if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Those of the jobs that are stored before the fault and due after it; at most 3 of 10, and by
    /// default none, or 1 of 20 without `--fault`
    #[arg(long)]
    delayed: Option<u64>,
    /// How many things go wrong, about; by default one each 2 seconds
    #[arg(long, value_name = "N", conflicts_with = "fault")]
    troubles: Option<u64>,
    /// For how many seconds a snapshot is held
    #[arg(long, default_value_t = 60)]
    hold: u64,
    /// 3,000 jobs in a few seconds: does it work at all?
    #[arg(long, conflicts_with_all = ["jobs", "seconds", "hold", "troubles"])]
    quick: bool,
    /// An empty folder in which the ledgers and logs of all processes are kept
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AmqpOptions {
    #[command(flatten)]
    options: Options,
    /// The store beside it
    #[arg(long, value_enum, default_value_t = Results::None)]
    results: Results,
}

impl Options {
    fn campaign(&self, kind: Kind, fault: Fault) -> anyhow::Result<Campaign> {
        let (seconds, hold) = match self.quick {
            true => (6, 2),
            false => (self.seconds.unwrap_or(fault.seconds()), self.hold),
        };
        let load = self.load(kind, seconds, |_| 0)?;
        Ok(Campaign { kind, fault, load, hold: Duration::from_secs(hold), keep: self.keep()? })
    }

    fn storm(&self, kind: Kind) -> anyhow::Result<Storm> {
        let seconds = if self.quick { 12 } else { self.seconds.unwrap_or(60) };
        let load = self.load(kind, seconds, |jobs| jobs / 20)?;
        let troubles = if self.quick { 15 } else { self.troubles.unwrap_or(seconds / 2) };
        let lease = Duration::from_secs(if self.quick { 3 } else { 30 });
        Ok(Storm { kind, load, troubles, lease, keep: self.keep()? })
    }

    fn load(&self, kind: Kind, seconds: u64, delayed: fn(u64) -> u64) -> anyhow::Result<Load> {
        let jobs = if self.quick { 3_000 } else { self.jobs };
        let most = (jobs as f64 * MOST_DELAYED) as u64;
        let delayed = self.delayed.unwrap_or(delayed(jobs));
        ensure!(delayed <= most, "of {jobs} jobs at most {most} can be `--delayed`, not {delayed}");
        let seed = self.seed.unwrap_or_else(rand::random);
        // A store knows a call again; without one a program repeats it at its own risk.
        let is_repeating = kind.is_without_store();
        Ok(Load { jobs, seconds, delayed, seed, first: 0, is_repeating })
    }

    /// The folder for ledgers and logs, made if it is missing.
    fn keep(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(folder) = &self.keep {
            std::fs::create_dir_all(folder).context("cannot make the folder to `--keep`")?;
            let entries =
                std::fs::read_dir(folder).context("cannot look into the folder to `--keep`")?;
            ensure!(entries.count() == 0, "the folder to `--keep` is not empty: name another");
        }
        Ok(self.keep.clone())
    }
}

fn main() -> ExitCode {
    // Re-executed as a worker, this program is the worker's command line.
    if std::env::args_os().nth(1).is_some_and(|first| first == "run") {
        return hereafter::worker::main();
    }
    let command = CommandLine::parse().command;
    let done = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Postgres(options) => show(Kind::Postgres, &options).await,
                Command::Mysql(options) => show(Kind::Mysql, &options).await,
                Command::Amqp(AmqpOptions { options, results }) => {
                    show(Kind::Amqp(results), &options).await
                }
                Command::Sqlite(options) => show(Kind::Sqlite, &options).await,
                Command::Produce(producer) => producer.run().await.map(|()| ExitCode::SUCCESS),
            }
        })
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Runs a campaign or a storm, and prints what it has shown.
async fn show(kind: Kind, options: &Options) -> anyhow::Result<ExitCode> {
    let (json, text, faults) = match options.fault {
        Some(fault) => {
            let campaign = options.campaign(kind, fault)?;
            eprintln!("seed {}", campaign.load.seed);
            let report = campaign.run().await?;
            (serde_json::to_string_pretty(&report)?, report.text(), report.faults())
        }
        None => {
            let storm = options.storm(kind)?;
            eprintln!("seed {}", storm.load.seed);
            let report = storm.run().await?;
            (serde_json::to_string_pretty(&report)?, report.text(), report.faults())
        }
    };
    if options.json {
        println!("{json}");
    } else {
        print!("{text}");
    }
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("faults: {}", faults.join(", "));
    Ok(ExitCode::FAILURE)
}
