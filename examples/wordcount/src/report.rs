//! The progress bar and the closing lines.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hereafter::JobError;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::count::Counted;

/// What all files hold together.
#[derive(Debug)]
pub(crate) struct Totals {
    started: Instant,
    words: u64,
    bytes: u64,
    files: Vec<(PathBuf, Counted)>,
    /// Files that could not be counted, with the reason.
    pub(crate) failed: Vec<(PathBuf, JobError)>,
    /// Workers killed by `--chaos`.
    pub(crate) killed: u32,
}

/// How many of the largest files are listed.
const LARGEST: usize = 10;

impl Default for Totals {
    fn default() -> Self {
        let started = Instant::now();
        Self { started, words: 0, bytes: 0, files: Vec::new(), failed: Vec::new(), killed: 0 }
    }
}

impl Totals {
    /// Adds what one handle answered.
    pub(crate) fn add(&mut self, path: &Path, answer: Result<Counted, JobError>) {
        match answer {
            Ok(counted) => {
                self.words += counted.words;
                self.bytes += counted.bytes;
                self.files.push((path.to_owned(), counted));
            }
            Err(error) => self.failed.push((path.to_owned(), error)),
        }
    }

    /// Prints the closing lines.
    pub(crate) fn print(&mut self) {
        self.files.sort_by_key(|(path, counted)| (u64::MAX - counted.bytes, path.clone()));
        if !self.files.is_empty() {
            println!("largest files:");
        }
        for (path, counted) in self.files.iter().take(LARGEST) {
            println!("{:>12} words {:>12} bytes  {}", counted.words, counted.bytes, path.display());
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let jobs = self.files.len() + self.failed.len();
        println!("files {}", self.files.len());
        println!("words {}", self.words);
        println!("bytes {} ({})", self.bytes, HumanBytes(self.bytes));
        println!(
            "jobs/s {:.0} ({} jobs in {seconds:.2} s)",
            jobs as f64 / seconds,
            HumanCount(jobs as u64)
        );
        if self.killed > 0 {
            println!("workers killed on the way {}", self.killed);
        }
        for (path, error) in &self.failed {
            eprintln!("not counted: {}: {error}", path.display());
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
