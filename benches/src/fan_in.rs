//! What waiting costs: one job that needs many others, beside as many that nobody waits for.

use anyhow::ensure;
use hereafter::prelude::*;

use crate::{Figures, Scale, line, ours, rate, timed, timed_worker};

/// Jobs of one run, unless told otherwise.
const JOBS: u64 = 10_000;

/// The input: as little work as the plain benchmark's, and a result to hand on.
#[register_task]
pub(crate) async fn one(id: u64, name: String) -> u64 {
    let _ = (id, name);
    1
}

/// Needs the results of all the others.
#[register_task]
pub(crate) async fn total(parts: Vec<u64>) -> u64 {
    parts.iter().sum()
}

/// Stores one expression of `jobs` jobs.
pub(crate) async fn enqueue(url: &str, jobs: u64) -> anyhow::Result<()> {
    let client = hereafter::connect(url).await?;
    total(gather((1..jobs).map(input))).delay().await?;
    Ok(client.close().await?)
}

/// Stores `jobs` inputs that nobody waits for, in one step as well.
pub(crate) async fn enqueue_plain(url: &str, jobs: u64) -> anyhow::Result<()> {
    let client = hereafter::connect(url).await?;
    client.delay_all((0..jobs).map(input)).await?;
    Ok(client.close().await?)
}

fn input(id: u64) -> Call<u64, u64> {
    one(id, format!("user_{id}"))
}

/// Prints the rates of both, and their ratio.
pub(crate) fn measure(scale: Scale) -> anyhow::Result<()> {
    let (jobs, runs) = (scale.jobs.unwrap_or(JOBS), scale.runs);
    let (mut fan, mut plain) = (Figures::default(), Figures::default());
    for run in 1..=runs {
        let folder = tempfile::tempdir()?;
        for (name, side, figures) in
            [("fan", "fan-in-enqueue", &mut fan), ("plain", "plain-enqueue", &mut plain)]
        {
            let path = folder.path().join(name).with_extension("db");
            let url = format!("sqlite://{}", path.display());
            figures.enqueue.push(rate(jobs, timed(&[side, &url, &jobs.to_string()])?));
            figures.drain.push(rate(jobs, timed_worker(&url)?));
            ensure!(ours::count_done(&url)? == jobs, "the worker left jobs undone");
        }
        eprintln!("run {run} of {runs} done");
    }
    println!(
        "SQLite, WAL, synchronous=FULL; {jobs} jobs, of which one waits for all others, beside {jobs} \
         that nobody waits for; {runs} alternating runs, whole processes"
    );
    println!("{:<22} {:>12} {:>12} {:>7}   spread of fan-in", "", "fan-in/s", "plain/s", "ratio");
    line("enqueue, one batch", &mut fan.enqueue, &mut plain.enqueue);
    line("drain, one worker", &mut fan.drain, &mut plain.drain);
    Ok(())
}
