//! Counts the words below a folder, one job per text file, in worker processes.
//!
//! ```text
//! wordcount FOLDER [--workers N] [--chaos]
//! ```
//!
//! It opens an embedded SQLite queue in a temporary folder, starts worker processes (itself,
//! re-executed), delays one job per file, and sums what the handles answer.

mod count;
mod files;
mod fleet;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use count::count;
use fleet::Fleet;
use report::Totals;

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
}

/// Calls stored in one batch.
const BATCH: usize = 1_000;

fn main() -> ExitCode {
    // Re-executed as a worker, this program is the worker's command line.
    if std::env::var_os(fleet::WORKER).is_some() {
        return hereafter::worker::main();
    }
    let runtime =
        tokio::runtime::Runtime::new().expect("a machine that counts has room for threads");
    match runtime.block_on(run(Options::parse())) {
        Ok(totals) if totals.failed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<Totals> {
    let files = files::below(&options.folder)?;
    let store = tempfile::tempdir().context("cannot make a temporary folder for the queue")?;
    let url = format!("sqlite://{}", store.path().join("queue.db").display());
    let client = hereafter::connect(&url).await?;
    let fleet = Fleet::start(&url, options.workers, options.chaos)?;
    let mut totals = Totals::default();
    let bar = report::progress(files.len());
    let mut waiting = FuturesUnordered::new();
    for batch in files.chunks(BATCH) {
        let handles = client.delay_all(batch.iter().map(count)).await?;
        let answers = handles.into_iter().zip(batch);
        waiting.extend(answers.map(|(handle, path)| async move { (path, handle.await) }));
    }
    while let Some((path, answer)) = waiting.next().await {
        totals.add(path, answer);
        bar.inc(1);
    }
    bar.finish_and_clear();
    totals.killed = fleet.stop().await;
    client.close().await?;
    totals.print();
    Ok(totals)
}
