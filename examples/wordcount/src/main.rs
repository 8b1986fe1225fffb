//! Counts the words below a folder, one job per text file, in worker processes.
//!
//! ```text
//! wordcount FOLDER [--workers N] [--chaos]
//! ```
//!
//! It opens an embedded SQLite queue in a temporary folder, starts worker processes (itself,
//! re-executed), and delays one expression: a job for each file, and one that sums them.

mod count;
mod files;
mod fleet;
mod report;
mod summary;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use hereafter::prelude::*;

use count::count;
use fleet::Fleet;
use report::Report;
use summary::{Summary, merge, summarise};

/// Counts files, words and bytes below a folder, with jobs and worker processes.
///
/// A word is a maximal run of bytes that are not ASCII white space, as `wc -w` has it. A file
/// with a NUL byte near its start is no text and is left out, and so is what a `.gitignore`
/// names. Links are not followed.
#[derive(Debug, Parser)]
struct Options {
    /// The folder.
    folder: PathBuf,
    /// Worker processes.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Kill a worker with SIGKILL every second, and start another.
    #[arg(long)]
    chaos: bool,
    /// The most files that one job sums: more are summed in parts. As many as the queue stores
    /// in one step by default.
    #[arg(long, value_name = "FILES")]
    part: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    // Re-executed as a worker, this program is the worker's command line.
    if std::env::var_os(fleet::WORKER).is_some() {
        return hereafter::worker::main();
    }
    let runtime =
        tokio::runtime::Runtime::new().expect("a machine that counts has room for threads");
    match runtime.block_on(run(&Options::parse())) {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    let files = files::below(&options.folder)?;
    let store = tempfile::tempdir().context("cannot make a temporary folder for the queue")?;
    let url = format!("sqlite://{}", store.path().join("queue.db").display());
    let client = hereafter::connect(&url).await?;
    let fleet = Fleet::start(&url, options.workers, options.chaos)?;
    let started = Instant::now();
    let part = options.part.map_or_else(|| largest_part(&client), NonZeroUsize::get);
    let (total, jobs) = delay(&files, part).await?;
    let bar = report::progress(files.len());
    let summary = tokio::select! {
        answer = total => answer.context("the files cannot be summed")?,
        () = report::follow(&client, jobs, &bar) => unreachable!("it never ends"),
    };
    bar.finish_and_clear();
    let took = started.elapsed();
    let killed = fleet.stop().await;
    client.close().await?;
    Ok(Report { summary, jobs, took, killed })
}

/// Delays the whole count; answers its handle, and of how many jobs it is.
async fn delay(files: &[PathBuf], part: usize) -> Result<(Handle<Summary>, u64), DelayError> {
    let jobs = files.len() as u64 + 1;
    if files.len() <= part {
        return Ok((summarise(gather(files.iter().map(count))).delay().await?, jobs));
    }
    let mut parts = Vec::new();
    for part in files.chunks(part) {
        parts.push(summarise(gather(part.iter().map(count))).delay().await?);
    }
    let jobs = jobs + parts.len() as u64;
    Ok((merge(gather(parts)).delay().await?, jobs))
}

/// As many files as fit into one step beside the job that sums them.
fn largest_part(client: &Client) -> usize {
    let open = client.connection().expect("a client that connects has a connection");
    open.broker.capabilities().max_batch - 1
}
