//! A workflow over the files of a folder, and its graph.
//!
//! ```text
//! pipeline FOLDER
//! ```
//!
//! Each file is read by a job of its own; what could be read is joined, looked at in two ways at
//! the same time, and both meet in a report:
//!
//! ```text
//! tally ┄┐           ┌─ frequent ─┐
//! tally ┄┼┄─ join ───┤            ├─ compose
//! tally ┄┘           └─ longest ──┘
//! ```

mod tasks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use hereafter::prelude::*;
use hereafter::worker::graph::JobGraph;
use hereafter::worker::{Shutdown, Worker};
use hereafter::{JobId, QueueName};
use ignore::WalkBuilder;
use indicatif::{ProgressBar, ProgressStyle};

use tasks::{Corpus, compose, frequent, join, longest, tally};

/// Reports on the words of the files below a folder, and draws how it came to that.
///
/// What a `.gitignore` names is left out. A file that is no UTF-8, or cannot be read, is counted
/// as a failure. The graph is a Mermaid flowchart; at most 49,999 files.
#[derive(Debug, Parser)]
struct Options {
    /// The folder.
    folder: PathBuf,
    /// How many words of each kind are reported.
    #[arg(long, default_value_t = 5)]
    words: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let files = files_below(&options.folder)?;
    let store = tempfile::tempdir().context("cannot make a temporary folder for the queue")?;
    let url = format!("sqlite://{}", store.path().join("queue.db").display());
    let client = hereafter::connect(&url).await?;

    // Nothing waits here: each job is stored at once, and starts when what it needs is there.
    let corpus = join(gather_results(files.iter().map(tally))).delay().await?;
    let (often, long) = (corpus.clone(), corpus.clone());
    let report = compose(frequent(often, options.words), longest(long, options.words));
    let report = report.delay().await?;

    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone()).build();
    let stop = shutdown.clone();
    let worker = tokio::spawn(async move { worker.run(&stop).await });
    let text = tokio::select! {
        text = report.clone() => text?,
        // `tally` for each file, and four more.
        () = follow(&client, files.len() as u64 + 4) => unreachable!("it never ends"),
    };
    print(&corpus.await?, &text);
    println!("\n{}", graph(&client, report.id()).await?);
    shutdown.request();
    worker.await??;
    Ok(client.close().await?)
}

/// The files below a folder, in order of their paths.
fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(folder.is_dir(), "`{}` is no folder", folder.display());
    let walk = WalkBuilder::new(folder).sort_by_file_name(Ord::cmp).build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.context("cannot list a folder")?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn print(corpus: &Corpus, report: &str) {
    println!("files {}", corpus.files);
    println!("failures {}", corpus.failed);
    corpus.failures.iter().for_each(|failure| eprintln!("not read: {failure}"));
    print!("{report}");
}

/// The job and all that it came from, as it ended.
async fn graph(client: &Client, job: JobId) -> anyhow::Result<String> {
    let open = client.connection().and_then(|open| open.operate.as_ref());
    let operate = open.context("this queue cannot list its jobs")?;
    Ok(JobGraph::upstream(&**operate, &[job]).await?.mermaid())
}

/// How often the progress bar moves.
const PACE: Duration = Duration::from_millis(100);

/// Shows how many of the jobs have ended; never ends.
async fn follow(client: &Client, jobs: u64) {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} jobs  {msg}")
        .expect("the template is a constant that is tried by every run");
    let bar = ProgressBar::new(jobs).with_style(style);
    loop {
        tokio::time::sleep(PACE).await;
        let Some(open) = client.connection() else { continue };
        // One that cannot be asked now is asked again.
        let Ok(depths) = open.broker.depth(&[QueueName::DEFAULT]).await else { continue };
        for depth in depths {
            let blocked = depth.blocked.unwrap_or(0);
            let due = [depth.ready, depth.scheduled, depth.running];
            let open = blocked + due.iter().flatten().sum::<u64>();
            bar.set_message(format!("{blocked} wait for others"));
            // Failed ones stay in the queue's counts and have ended all the same.
            bar.set_position(jobs.saturating_sub(open));
        }
    }
}
