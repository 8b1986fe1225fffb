//! Streams: what one process makes, another one reads while it is made.
//!
//! ```text
//! stream TEXT FOLDER
//! ```
//!
//! A worker process searches the files below a folder; this one prints the hits as they are found,
//! and how far the search is. Then it asks another stream for a few numbers and leaves.

mod tasks;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use hereafter::broker::JobState;
use hereafter::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::process::{Child, Command};

use tasks::{Hit, primes, search};

/// Prints the lines with a text, as a worker process finds them.
///
/// What a `.gitignore` names is left out. The last line says which processes found and read them.
#[derive(Debug, Parser)]
struct Options {
    /// What to look for.
    text: String,
    /// The folder.
    folder: PathBuf,
    /// How many prime numbers to ask for.
    #[arg(long, default_value_t = 10)]
    primes: usize,
}

/// Set in the environment of the worker process, which is this program, re-executed.
const WORKER: &str = "STREAM_WORKER";

fn main() -> ExitCode {
    if std::env::var_os(WORKER).is_some() {
        return hereafter::worker::main();
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: &Options) -> anyhow::Result<()> {
    let folder = options.folder.canonicalize().with_context(|| {
        format!("cannot search `{}`: name a folder that is there", options.folder.display())
    })?;
    let store = tempfile::tempdir().context("cannot make a temporary folder for the queue")?;
    let url = format!("sqlite://{}", store.path().join("queue.db").display());
    let client = hereafter::connect(&url).await?;
    let mut worker = start_worker(&url)?;
    tokio::select! {
        shown = show(options, folder) => shown?,
        ended = worker.wait() => bail!("the worker process ended: {}", ended?),
    }
    worker.kill().await.context("cannot end the worker process")?;
    Ok(client.close().await?)
}

/// Reads both streams.
async fn show(options: &Options, folder: PathBuf) -> anyhow::Result<()> {
    let hits = search(folder, &options.text).delay().await?;
    let bar = ProgressBar::new(0).with_style(style());
    let following = tokio::spawn(follow(hits.clone(), bar.clone()));
    let found = print(&hits, &bar).await?;
    following.await?;
    bar.finish_and_clear();
    println!("hits {}", found.hits);
    if let Some(finder) = found.finder {
        println!("found by process {finder}, read by process {}", process::id());
    }

    let numbers = primes().delay().await?;
    // A thousand would take no longer to begin with: only what is asked for is made.
    let first: Vec<u64> = numbers.stream().take(options.primes).try_collect().await?;
    println!("primes {first:?}");
    println!("then nobody read on, and the job was {}", end_of(&numbers).await?);
    Ok(())
}

fn start_worker(url: &str) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut worker = Command::new(program);
    worker.args(["run", "--log-level", "error"]).env(WORKER, "1").env("HEREAFTER_URL", url);
    worker.stdin(Stdio::null()).kill_on_drop(true);
    worker.spawn().context("cannot start a worker process")
}

/// What was read.
#[derive(Debug, Default)]
struct Found {
    hits: u64,
    /// The process that found them.
    finder: Option<u32>,
}

/// Prints the hits as they come.
async fn print(hits: &Handle<Vec<Hit>>, bar: &ProgressBar) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut stream = hits.stream();
    while let Some(hit) = stream.next().await {
        let Hit { path, line, text, found_by } = match hit {
            // The worker died midway, and another one began anew.
            Err(JobError::Restarted { .. }) => {
                found = Found::default();
                continue;
            }
            hit => hit?,
        };
        bar.suspend(|| writeln!(io::stdout(), "{}:{line}: {text}", path.display()))?;
        found.hits += 1;
        found.finder = Some(found_by);
    }
    Ok(found)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} files  {msg}")
        .expect("the template is a constant that is tried by every run")
}

/// Shows how far the search is, until it ends.
async fn follow(hits: Handle<Vec<Hit>>, bar: ProgressBar) {
    let mut progress = hits.progress();
    while let Some(Ok(progress)) = progress.next().await {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.message);
    }
}

/// Waits until the job has ended.
async fn end_of<T>(handle: &Handle<T>) -> anyhow::Result<JobState> {
    loop {
        match handle.state().await? {
            Some(state) if state.is_final() => return Ok(state),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
