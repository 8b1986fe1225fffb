//! The floor in a process of its own, as a worker is: what this program starts itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::floor::{self, Driver, Leave};
use crate::process::{Process, again};

/// Its first argument.
pub(crate) const COMMAND: &str = "side";

/// What the process does.
#[derive(Debug, Parser)]
pub(crate) struct Side {
    driver: Driver,
    /// Where the floor is: a path or a URL.
    place: String,
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Claims and finishes what is there.
    Drain {
        /// Where nobody can see that nothing is left: how many it takes.
        share: u64,
        /// Nothing is left behind.
        #[arg(long)]
        bare: bool,
    },
    /// Says on a line that it is ready, and on another one how many ms each message took.
    Receive { count: u64 },
}

impl Side {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let floor = floor::open(self.driver, &self.place);
        Runtime::new()?.block_on(async {
            match self.work {
                Work::Drain { share, bare } => {
                    floor.drain(share, if bare { Leave::Nothing } else { Leave::Outcome }).await
                }
                Work::Receive { count } => {
                    let round_trip = floor.round_trip().context("it tells nobody of commits")?;
                    let took = round_trip.receive(count, &|| say(READY)).await?;
                    say(&serde_json::to_string(&took)?);
                    Ok(())
                }
            }
        })
    }
}

const READY: &str = "ready";

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Who started this process has ended, and nobody wants to know any more.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A process that claims and finishes rows.
pub(crate) fn drain(
    driver: Driver,
    place: &str,
    share: u64,
    leave: Leave,
) -> anyhow::Result<Process> {
    let mut command = side(driver, place)?;
    command.arg("drain").arg(share.to_string());
    if leave == Leave::Nothing {
        command.arg("--bare");
    }
    Process::start(&mut command)
}

/// A process that receives messages.
#[derive(Debug)]
pub(crate) struct Receiver {
    process: Process,
    lines: BufReader<ChildStdout>,
}

impl Receiver {
    /// Ready when this returns.
    pub(crate) fn start(driver: Driver, place: &str, count: u64) -> anyhow::Result<Self> {
        let mut command = side(driver, place)?;
        command.arg("receive").arg(count.to_string()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let out = process.0.stdout.take().context("a pipe was asked for")?;
        let mut receiver = Self { process, lines: BufReader::new(out) };
        ensure!(receiver.line()?.trim() == READY, "the floor does not receive");
        Ok(receiver)
    }

    /// How many ms each message took.
    pub(crate) fn took(mut self) -> anyhow::Result<Vec<f64>> {
        let line = self.line()?;
        self.process.end()?;
        Ok(serde_json::from_str(&line)?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line)
    }
}

fn side(driver: Driver, place: &str) -> anyhow::Result<Command> {
    let mut command = again()?;
    command.args([COMMAND, driver.name(), place]);
    Ok(command)
}
