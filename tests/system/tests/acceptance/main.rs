//! The acceptance cases of the five systems that Hereafter follows, on every broker.
//!
//! A test's name begins with the case it covers; `docs/acceptance.md` lists them all, with what
//! is planned or decided otherwise.

mod akimbo;
mod amqp;
mod continuation;
mod ddt;
mod events;
mod follow;
mod marrow;
mod reports;
mod schedules;
mod streams;
mod taskit;
mod unique;
mod workflows;
mod worq;
mod ztask;

use std::path::Path;
use std::time::{Duration, Instant};

/// The worker program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tasksystem");

/// How long anything may take before a test fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(90);

/// The lines of a file that worker processes write; none if there is no such file yet.
fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a worker process has written a line with this text.
async fn until_written(file: &Path, text: &str) {
    let give_up = Instant::now() + LIMIT;
    while !lines(file).iter().any(|line| line.contains(text)) {
        assert!(Instant::now() < give_up, "waited in vain for `{text}`");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
