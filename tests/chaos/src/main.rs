//! A fault campaign on a real server of its own: what is lost, run twice, or slow to come back.
//!
//! `cargo run --release -p taskchaos -- postgres --jobs 100000 --fault restart`
//!
//! Two workers and a producer, each a process, work on the server while something happens to it. Each
//! writes down what it does in a file outside of the system; in the end these ledgers and the store
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
mod story;
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

/// Does something to a server while jobs are stored and run, and looks at what becomes of them.
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
    /// The process that stores jobs; this program starts it
    #[command(hide = true)]
    Produce(Producer),
}

#[derive(Debug, Args)]
struct Options {
    /// What happens to the server
    #[arg(long)]
    fault: Fault,
    /// Jobs to be stored
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// The seconds over which they are spread; by default what the fault needs
    #[arg(long)]
    seconds: Option<u64>,
    /// Sizes of batches and the time of the fault follow from it; random if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Those of the jobs that are stored before the fault and due after it; at most 3 of 10
    #[arg(long, default_value_t = 0)]
    delayed: u64,
    /// For how many seconds a snapshot is held
    #[arg(long, default_value_t = 60)]
    hold: u64,
    /// 3,000 jobs in a few seconds: does it work at all?
    #[arg(long, conflicts_with_all = ["jobs", "seconds", "hold"])]
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
    fn campaign(&self, kind: Kind) -> anyhow::Result<Campaign> {
        let seed = self.seed.unwrap_or_else(rand::random);
        let fault = self.fault;
        let (jobs, seconds, hold) = match self.quick {
            true => (3_000, 6, 2),
            false => (self.jobs, self.seconds.unwrap_or(fault.seconds()), self.hold),
        };
        let most = (jobs as f64 * MOST_DELAYED) as u64;
        let delayed = self.delayed;
        ensure!(delayed <= most, "of {jobs} jobs at most {most} can be `--delayed`, not {delayed}");
        // A store knows a call again; without one a program repeats it at its own risk.
        let is_repeating = kind.is_without_store();
        let load = Load { jobs, seconds, delayed, seed, is_repeating };
        let keep = self.keep.clone();
        if let Some(folder) = &keep {
            std::fs::create_dir_all(folder).context("cannot make the folder to `--keep`")?;
            let entries =
                std::fs::read_dir(folder).context("cannot look into the folder to `--keep`")?;
            ensure!(entries.count() == 0, "the folder to `--keep` is not empty: name another");
        }
        Ok(Campaign { kind, fault, load, hold: Duration::from_secs(hold), keep })
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
                Command::Produce(producer) => producer.run().await.map(|()| ExitCode::SUCCESS),
            }
        })
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Runs a campaign, and prints what it has shown.
async fn show(kind: Kind, options: &Options) -> anyhow::Result<ExitCode> {
    let campaign = options.campaign(kind)?;
    eprintln!("seed {}", campaign.load.seed);
    let report = campaign.run().await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.text());
    }
    let faults = report.faults();
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("faults: {}", faults.join(", "));
    Ok(ExitCode::FAILURE)
}
