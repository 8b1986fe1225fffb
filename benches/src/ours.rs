//! Our side: no-op jobs of an int and a short string.

use std::path::Path;

use hereafter::broker::{JobFilter, JobState};
use hereafter::prelude::*;

/// Calls stored in one batch; the floor's batches are as large.
pub(crate) const BATCH: u64 = 1_000;

/// Does nothing.
#[register_task]
pub(crate) async fn no_op(id: u64, name: String) {
    let _ = (id, name);
}

/// Stores `jobs` calls.
pub(crate) async fn enqueue(path: &str, jobs: u64) -> anyhow::Result<()> {
    let client = hereafter::connect(format!("sqlite://{path}")).await?;
    for first in (0..jobs).step_by(BATCH as usize) {
        let calls = (first..jobs.min(first + BATCH)).map(|id| no_op(id, format!("user_{id}")));
        client.delay_all(calls).await?;
    }
    Ok(client.close().await?)
}

/// How many jobs in this file are done.
pub(crate) fn count_done(path: &Path) -> anyhow::Result<u64> {
    let url = format!("sqlite://{}", path.display());
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let client = Client::open(url).await?;
        let filter = JobFilter { states: vec![JobState::Done], ..JobFilter::default() };
        let operate = client.connection().and_then(|open| open.operate.clone());
        let jobs = operate.expect("SQLite lists jobs").jobs(&filter).await?;
        client.close().await?;
        Ok(jobs.len() as u64)
    })
}
