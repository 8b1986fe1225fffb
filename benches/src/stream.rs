//! A stream between two processes: items per second beside raw rows, and how late an item is.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{Stream, StreamExt, stream};
use hereafter::prelude::*;

use crate::idle::{now, print};
use crate::{Scale, floor, line, rate};

/// Items of one run, unless told otherwise.
const ITEMS: u64 = 200_000;

/// Items whose way is timed, one each 5 ms.
const TIMED: u64 = 400;

/// An item as large as the floor's rows have it.
pub(crate) fn item(id: u64) -> (u64, String) {
    (id, format!("user_{id}"))
}

/// As fast as it can.
#[register_task]
pub(crate) fn items(count: u64) -> impl Stream<Item = (u64, String)> {
    stream::iter(0..count).map(item)
}

/// When each item was made, in ns since 1970.
#[register_task]
pub(crate) fn made_at(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).then(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        now()
    })
}

/// Says in a loop how far it is, and yields how long one call took, in ns.
#[register_task]
pub(crate) fn talk(cx: Context, calls: u64) -> f64 {
    let since = Instant::now();
    (0..calls).for_each(|call| cx.progress(call, calls));
    since.elapsed().as_nanos() as f64 / calls as f64
}

/// Prints rates, latencies and the cost of a report.
pub(crate) fn measure(scale: Scale) -> anyhow::Result<()> {
    let (count, runs) = (scale.jobs.unwrap_or(ITEMS), scale.runs);
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let (mut late, mut cost) = (Vec::new(), Vec::new());
    let runtime = tokio::runtime::Runtime::new()?;
    for run in 1..=runs {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("ours.db").display());
        let mut worker = Command::new(std::env::current_exe()?)
            .args(["run", "--log-level", "error"])
            .env("HEREAFTER_URL", &url)
            .spawn()
            .context("cannot start a worker process")?;
        let read = runtime.block_on(read(&url, count, &mut late, &mut cost));
        worker.kill()?;
        worker.wait()?;
        ours.push(rate(count, read?));
        let path = folder.path().join("floor.db").display().to_string();
        let since = Instant::now();
        runtime.block_on(floor::stream(&path, count))?;
        raw.push(rate(count, since.elapsed()));
        eprintln!("run {run} of {runs} done");
    }
    println!(
        "SQLite, WAL; {count} items of one job, made by a worker process and read live by another one, \
         beside as many rows written and read by one; {runs} alternating runs"
    );
    println!("{:<22} {:>12} {:>12} {:>7}   spread of ours", "", "ours/s", "floor/s", "ratio");
    line("stream, live", &mut ours, &mut raw);
    print("item made to item read", &mut late);
    cost.sort_by(f64::total_cmp);
    println!("`cx.progress` in a loop: {:.0} ns a call", cost[cost.len() / 2]);
    Ok(())
}

/// Reads a stream of a worker process; answers how long that took.
async fn read(
    url: &str,
    count: u64,
    late: &mut Vec<f64>,
    cost: &mut Vec<f64>,
) -> anyhow::Result<Duration> {
    let client = hereafter::connect(url).await?;
    // The first job waits for the worker's start.
    cost.push(talk(1_000_000).delay_on(&client).await?.await?);
    let since = Instant::now();
    let mut read = items(count).delay_on(&client).await?.stream();
    let mut seen = 0;
    while let Some(item) = read.next().await {
        ensure!(item?.0 == seen, "the items are out of order");
        seen += 1;
    }
    let took = since.elapsed();
    ensure!(seen == count, "{seen} of {count} items were read");
    let mut timed = made_at(TIMED).delay_on(&client).await?.stream();
    while let Some(made) = timed.next().await {
        late.push(now().saturating_sub(made?) as f64 / 1e6);
    }
    client.close().await?;
    Ok(took)
}
