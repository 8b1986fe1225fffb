//! The memory of a worker process that drains a million jobs.

use hereafter::worker::Exit;

use crate::floor::{Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours::{self, Running};
use crate::side;
use crate::table::grouped;

/// Measures the peak of a worker, and of the floor's process.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let store = lab.new_store();
    let (jobs, broker) = (lab.scale.jobs(1_000_000), lab.broker());
    let what = format!("peak memory of a worker, {} jobs", grouped(jobs));
    run(ours::fill(&store.url, jobs, Leave::Outcome))?;
    let worker = run(Running::start(broker, &store.url, Exit::Drained))?;
    if let Running::Process(process) = worker {
        lab.figure(&what, "MiB").ours.push(process.end_watched()?);
    }
    run(ours::check_drained(&store.url))?;
    for (driver, floor) in lab.floors(&store) {
        run(floor.prepare())?;
        run(floor.enqueue(jobs, Manner::Batch(10_000)))?;
        let process = side::drain(driver, &store.raw(driver), jobs, Leave::Outcome)?;
        lab.floor_figure(&what, "MiB", driver).floor.push(process.end_watched()?);
    }
    lab.subject.drop_store(store);
    Ok(())
}
