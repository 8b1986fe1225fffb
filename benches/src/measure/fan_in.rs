//! What waiting costs: one job that needs the results of many others, beside as many that nobody
//! waits for. The floor of both drains as many rows, none of which waits for another.

use std::time::{Duration, Instant};

use hereafter::prelude::*;

use super::{RATE, drain, rate};
use crate::floor::{Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours;
use crate::table::grouped;

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

fn input(id: u64) -> Call<u64, u64> {
    one(id, format!("user_{id}"))
}

/// Measures both kinds, each stored in one step, and their floor.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let store = lab.new_store();
    let (jobs, broker) = (lab.scale.jobs(10_000), lab.broker());
    let many = grouped(jobs);
    let fan = [format!("fan-in of {many}, enqueue"), format!("fan-in of {many}, drain")];
    let plain = [
        format!("{many} that nobody waits for, enqueue"),
        format!("{many} that nobody waits for, drain"),
    ];
    for (names, is_fan) in [(&fan, true), (&plain, false)] {
        let stored = run(enqueue(&store.url, jobs, is_fan))?;
        lab.figure(&names[0], RATE).ours.push(rate(jobs, stored));
        let drained = run(drain::ours(broker, &store.url, 1))?;
        run(ours::check_drained(&store.url))?;
        lab.figure(&names[1], RATE).ours.push(rate(jobs, drained));
    }
    if let Some((driver, floor)) = lab.floors(&store).first() {
        run(floor.prepare())?;
        let stored = run(floor.enqueue(jobs, Manner::Batch(jobs)))?;
        let drained = drain::floor(*driver, &**floor, &store, jobs, 1, Leave::Outcome)?;
        for names in [&fan, &plain] {
            lab.figure(&names[0], RATE).floor.push(rate(jobs, stored));
            lab.figure(&names[1], RATE).floor.push(rate(jobs, drained));
        }
    }
    lab.subject.drop_store(store);
    Ok(())
}

/// Stores one expression of `jobs` jobs, or as many inputs; answers how long that took.
async fn enqueue(url: &str, jobs: u64, is_fan: bool) -> anyhow::Result<Duration> {
    let client = Client::open(url).await?;
    let since = Instant::now();
    if is_fan {
        total(gather((1..jobs).map(input))).delay_on(&client).await?;
    } else {
        client.delay_all((0..jobs).map(input)).await?;
    }
    let took = since.elapsed();
    client.close().await?;
    Ok(took)
}
