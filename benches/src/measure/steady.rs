//! Producer and worker at once: latencies at a fixed rate, and the highest rate.

use std::time::{Duration, Instant};

use anyhow::Context;
use hereafter::Client;
use hereafter::worker::Exit;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::idle::{Latencies, round_trips, tell};
use super::{RATE, rate};
use crate::floor::{Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours::{Running, started_at, store};
use crate::percentiles::{ms_since, now};

/// Jobs per second.
const PACE: u64 = 500;

/// Measures both in one store.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let place = lab.new_store();
    let (jobs, broker) = (lab.scale.jobs(PACE * 10), lab.broker());
    let most = lab.scale.jobs(50_000);
    let gap = Duration::from_secs(1) / u32::try_from(PACE).context("it is a small number")?;
    let (latencies, flat_out) = run(async {
        let worker = Running::start(broker, &place.url, Exit::Never).await?;
        let client = Client::open(place.url.as_str()).await?;
        // The first job waits for the worker's start.
        started_at().delay_on(&client).await?.await?;
        let latencies = at_a_pace(&client, jobs, gap).await?;
        let flat_out = flat_out(&client, most).await?;
        client.close().await?;
        worker.stop().await?;
        Ok((latencies, flat_out))
    })?;
    let floor = round_trips(lab, &place, jobs, gap)?;
    let names = [
        "steady at 500 jobs/s, `.delay()` to handler started, ",
        "steady at 500 jobs/s, `.delay()` to result at the caller, ",
    ];
    tell(lab, names, &latencies, floor.as_deref());
    lab.figure("steady, 64 at once and a worker, until the last has started", RATE)
        .ours
        .push(rate(most, flat_out));
    lab.subject.drop_store(place);
    Ok(())
}

/// Calls come at their time, whatever became of those before.
async fn at_a_pace(client: &Client, jobs: u64, gap: Duration) -> anyhow::Result<Latencies> {
    let (mut ticks, mut calls) = (interval(gap), JoinSet::new());
    for _ in 0..jobs {
        ticks.tick().await;
        let client = client.clone();
        calls.spawn(async move {
            let called = now();
            let started = started_at().delay_on(&client).await?.await?;
            anyhow::Ok((started.saturating_sub(called) as f64 / 1e6, ms_since(called)))
        });
    }
    let mut latencies = Latencies::default();
    while let Some(call) = calls.join_next().await {
        let (start, result) = call??;
        latencies.start.push(start);
        latencies.result.push(result);
    }
    Ok(latencies)
}

/// How long it takes until as many have been stored and started.
async fn flat_out(client: &Client, jobs: u64) -> anyhow::Result<Duration> {
    let since = Instant::now();
    store(client, jobs, Manner::AtOnce(64), Leave::Outcome).await?;
    // It is handed out after the others.
    started_at().delay_on(client).await?.await?;
    Ok(since.elapsed())
}
