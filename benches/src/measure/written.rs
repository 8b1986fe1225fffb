//! What is written for each job: bytes of the log, or of the process where there is no server, and
//! transactions.

use hereafter::worker::Exit;

use crate::floor::{Driver, Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours::{self, Running};
use crate::process::written_here;
use crate::side;
use crate::subject::Meter;
use crate::table::grouped;

/// Jobs that are stored together.
const BATCH: u64 = 1_000;

/// Measures storing in batches, and one worker that drains.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let store = lab.new_store();
    let jobs = lab.scale.jobs(100_000);
    let broker = lab.broker();
    // So that the tables are there before anybody counts.
    run(ours::fill(&store.url, 0, Leave::Outcome))?;
    let fill = || run(ours::fill_by(&store.url, jobs, Manner::Batch(BATCH), Leave::Outcome));
    let drain =
        || run(async { Running::start(broker, &store.url, Exit::Drained).await?.end().await });
    if let Some(steps) = steps(lab, &store.url, fill, drain)? {
        tell(lab, jobs, steps, None);
    }
    for (driver, floor) in lab.floors(&store) {
        run(floor.prepare())?;
        let place = store.raw(driver);
        let fill = || run(floor.enqueue(jobs, Manner::Batch(BATCH))).map(drop);
        let drain = || side::drain(driver, &place, jobs, Leave::Outcome)?.end();
        if let Some(steps) = steps(lab, &place, fill, drain)? {
            tell(lab, jobs, steps, Some(driver));
        }
    }
    lab.subject.drop_store(store);
    Ok(())
}

/// What a step took.
#[derive(Debug, Clone, Copy)]
struct Took {
    bytes: u64,
    commits: u64,
}

/// What storing takes, and draining. `drain` answers how many bytes its process has written.
fn steps(
    lab: &Lab,
    place: &str,
    fill: impl FnOnce() -> anyhow::Result<()>,
    drain: impl FnOnce() -> anyhow::Result<u64>,
) -> anyhow::Result<Option<[Took; 2]>> {
    let Some(mut meter) = lab.subject.meter(place)? else { return Ok(None) };
    let filled = count(&mut *meter, || {
        let before = written_here()?;
        fill()?;
        Ok(written_here()? - before)
    })?;
    Ok(Some([filled, count(&mut *meter, drain)?]))
}

fn count(
    meter: &mut dyn Meter,
    step: impl FnOnce() -> anyhow::Result<u64>,
) -> anyhow::Result<Took> {
    let before = meter.read(0)?;
    let after = meter.read(step()?)?;
    Ok(Took {
        bytes: after.bytes.saturating_sub(before.bytes),
        commits: after.commits.saturating_sub(before.commits),
    })
}

fn tell(lab: &mut Lab, jobs: u64, steps: [Took; 2], floor: Option<Driver>) {
    let batch = grouped(BATCH.min(jobs));
    let stored = format!("enqueue, batches of {batch}");
    for (what, took) in [stored.as_str(), "drain, one worker"].into_iter().zip(steps) {
        for (what, unit, count) in [
            (format!("written, {what}"), "bytes/job", took.bytes),
            (format!("transactions, {what}"), "per 1,000 jobs", took.commits * 1_000),
        ] {
            let value = count as f64 / jobs as f64;
            match floor {
                None => lab.figure(&what, unit).ours.push(value),
                Some(driver) => lab.floor_figure(&what, unit, driver).floor.push(value),
            }
        }
    }
}
