//! Workers that run what is there and end: whole processes, from start to end, on both sides.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hereafter::worker::Exit;

use super::{RATE, rate};
use crate::broker::Broker;
use crate::floor::{Driver, Floor, Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours::{self, Running};
use crate::side;
use crate::subject::Store;

/// What is called so: no-op jobs, whose outcomes are kept.
pub(crate) const ONE_WORKER: &str = "drain, one worker";

/// Measures one worker, two, and one that leaves nothing behind.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let (store, floors) = lab.new_store_and_floors()?;
    let jobs = lab.scale.jobs(lab.broker().drained_jobs());
    for (what, workers, leave) in [
        (ONE_WORKER, 1, Leave::Outcome),
        ("drain, two workers", 2, Leave::Outcome),
        ("drain, one worker, nothing kept", 1, Leave::Nothing),
    ] {
        run(ours::fill(&store.url, jobs, leave))?;
        let took = run(ours(lab.broker(), &store.url, workers))?;
        run(ours::check_drained(&store.url))?;
        lab.figure(what, RATE).ours.push(rate(jobs, took));
        for (driver, floor) in &floors {
            run(floor.enqueue(jobs, Manner::Batch(10_000)))?;
            let took = self::floor(*driver, &**floor, &store, jobs, workers, leave)?;
            lab.floor_figure(what, RATE, *driver).floor.push(rate(jobs, took));
        }
    }
    lab.subject.drop_store(store);
    Ok(())
}

/// How long so many workers of ours take.
pub(super) async fn ours(broker: Broker, url: &str, workers: u64) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let mut running = Vec::new();
    for _ in 0..workers {
        running.push(Running::start(broker, url, Exit::Drained).await?);
    }
    for worker in running {
        worker.end().await?;
    }
    Ok(since.elapsed())
}

/// How long as many of the floor take.
pub(super) fn floor(
    driver: Driver,
    floor: &dyn Floor,
    store: &Store,
    jobs: u64,
    workers: u64,
    leave: Leave,
) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let shares = (0..workers).map(|worker| jobs / workers + u64::from(worker < jobs % workers));
    if driver == Driver::Memory {
        run(try_join_all(shares.map(|share| floor.drain(share, leave))))?;
        return Ok(since.elapsed());
    }
    let place = store.raw(driver);
    let processes = shares.map(|share| side::drain(driver, &place, share, leave));
    for process in processes.collect::<anyhow::Result<Vec<_>>>()? {
        process.end()?;
    }
    Ok(since.elapsed())
}
