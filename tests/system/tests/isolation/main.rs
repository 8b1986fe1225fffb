//! Workers in processes that are replaced, and the jobs for which they are.

mod poison;
mod processes;

use std::time::{Duration, Instant};

/// The worker program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tasksystem");

/// How long anything may take before a test fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(90);

/// Whether there is a process of this id that does anything.
fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // One that has ended stays in the list until somebody has asked how.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
