//! Our side: no-op jobs of an int and a short string.

use futures::StreamExt;
use hereafter::prelude::*;

/// Calls stored in one batch; the floor's batches are as large.
pub(crate) const BATCH: u64 = 1_000;

/// Does nothing.
#[register_task]
pub(crate) async fn no_op(id: u64, name: String) {
    let _ = (id, name);
}

/// Stores `jobs` calls, so many in a batch; `bare` ones leave nothing behind when they are done.
pub(crate) async fn enqueue(url: &str, jobs: u64, batch: u64, bare: bool) -> anyhow::Result<()> {
    let client = hereafter::connect(url).await?;
    for first in (0..jobs).step_by(usize::try_from(batch)?) {
        let calls = (first..jobs.min(first + batch)).map(|id| {
            let call = no_op(id, format!("user_{id}"));
            if bare { call.ignore_result() } else { call }
        });
        client.delay_all(calls).await?;
    }
    Ok(client.close().await?)
}

/// Stores `jobs` calls one by one, so many of them at a time.
pub(crate) async fn enqueue_single(url: &str, jobs: u64, at_once: usize) -> anyhow::Result<()> {
    let client = hereafter::connect(url).await?;
    let calls = (0..jobs).map(|id| no_op(id, format!("user_{id}")).delay());
    let mut delayed = futures::stream::iter(calls).buffer_unordered(at_once);
    while let Some(handle) = delayed.next().await {
        handle?;
    }
    drop(delayed);
    Ok(client.close().await?)
}

/// How many jobs of this store are done.
pub(crate) fn count_done(url: &str) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let client = Client::open(url).await?;
        let stats = client.stats().await?;
        client.close().await?;
        Ok(stats.iter().map(|task| task.done).sum())
    })
}
