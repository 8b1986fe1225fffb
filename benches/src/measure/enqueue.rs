//! Storing jobs. Only the storing is timed: connections are open before and closed after.

use hereafter::Client;

use super::{RATE, rate};
use crate::floor::{Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours;
use crate::table::grouped;

/// How 64 callers of one process are called here.
pub(crate) const AT_ONCE: &str = "enqueue, 64 at once";

/// How the largest batch is called, before its size.
pub(crate) const BULK: &str = "enqueue, bulk of ";

/// Measures all ways of storing, one after the other in one store.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let (store, floors) = lab.new_store_and_floors()?;
    let bulk = lab.scale.jobs(100_000);
    let ones = if lab.scale.is_quick { 100 } else { lab.scale.jobs(2_000) };
    for (what, jobs, manner) in [
        ("enqueue, one at a time".to_owned(), ones, Manner::AtOnce(1)),
        (AT_ONCE.to_owned(), lab.scale.jobs(20_000), Manner::AtOnce(64)),
        ("enqueue, batches of 1,000".to_owned(), bulk, Manner::Batch(1_000)),
        (format!("{BULK}{}", grouped(bulk)), bulk, Manner::Batch(bulk)),
    ] {
        let took = run(async {
            let client = Client::open(store.url.as_str()).await?;
            let took = ours::store(&client, jobs, manner, Leave::Outcome).await?;
            client.close().await?;
            Ok(took)
        })?;
        lab.figure(&what, RATE).ours.push(rate(jobs, took));
        for (driver, floor) in &floors {
            let took = run(floor.enqueue(jobs, manner))?;
            lab.floor_figure(&what, RATE, *driver).floor.push(rate(jobs, took));
        }
    }
    lab.subject.drop_store(store);
    Ok(())
}
