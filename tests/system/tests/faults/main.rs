//! What happens when worker processes die, hang or stop.

mod bad_input;
mod killed;
mod long;
mod streams;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The worker program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tasksystem");

/// How long anything may take before a test fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(90);

/// How often each line stands in a ledger.
fn lines(ledger: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// Waits until `is_true` holds.
async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !is_true() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
