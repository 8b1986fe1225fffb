//! The progress bar and the closing lines.

use std::time::Duration;

use hereafter::{Client, QueueName};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::summary::Summary;

/// How the counting went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) summary: Summary,
    /// Jobs that were delayed for it.
    pub(crate) jobs: u64,
    pub(crate) took: Duration,
    /// Workers killed by `--chaos`.
    pub(crate) killed: u32,
}

impl Report {
    /// Prints the closing lines.
    pub(crate) fn print(&self) {
        let Self { summary, jobs, took, killed } = self;
        if !summary.largest.is_empty() {
            println!("largest files:");
        }
        for file in &summary.largest {
            println!("{:>12} words {:>12} bytes  {}", file.words, file.bytes, file.path.display());
        }
        let seconds = took.as_secs_f64();
        println!("files {}", summary.files);
        println!("words {}", summary.words);
        println!("bytes {} ({})", summary.bytes, HumanBytes(summary.bytes));
        println!(
            "jobs/s {:.0} ({} jobs in {seconds:.2} s)",
            *jobs as f64 / seconds,
            HumanCount(*jobs)
        );
        if *killed > 0 {
            println!("workers killed on the way {killed}");
        }
    }
}

/// A bar with rate and time left; hidden where no terminal is there.
pub(crate) fn progress(files: usize) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} files  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style)
        .expect("the template is a constant that is tried by every run");
    let bar = ProgressBar::new(files as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// How often the bar moves.
const PACE: Duration = Duration::from_millis(200);

/// Moves the bar by what the queue still holds; never ends. `jobs` were delayed.
pub(crate) async fn follow(client: &Client, jobs: u64, bar: &ProgressBar) {
    loop {
        tokio::time::sleep(PACE).await;
        let Some(open) = client.connection().filter(|_| !bar.is_hidden()) else { continue };
        // One that cannot be asked now is asked again.
        let Ok(depths) = open.broker.depth(&[QueueName::DEFAULT]).await else { continue };
        for depth in depths {
            let open = [depth.ready, depth.scheduled, depth.blocked, depth.running];
            bar.set_position(jobs.saturating_sub(open.iter().flatten().sum()));
        }
    }
}
