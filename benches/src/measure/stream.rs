//! A stream between two processes: items per second, how late an item is, and what a report costs.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{Stream, StreamExt, stream};
use hereafter::prelude::*;
use hereafter::worker::Exit;

use super::rate;
use crate::broker::Broker;
use crate::floor::{Driver, sqlite};
use crate::lab::{Lab, run};
use crate::ours::Running;
use crate::percentiles::{ms_since, now, percentile};

/// Items whose way is timed, one each 5 ms.
const TIMED: u64 = 400;

/// An item as large as the floor's rows have it.
fn item(id: u64) -> (u64, String) {
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

/// Measures a stream that is read live by another process; and on SQLite a floor that writes and reads
/// as many rows, one for each item.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let store = lab.new_store();
    let (count, broker) = (lab.scale.jobs(200_000), lab.broker());
    let timed = if lab.scale.is_quick { TIMED / 10 } else { TIMED };
    let talks = lab.scale.jobs(1_000_000);
    let read = run(read(broker, &store.url, count, timed, talks))?;
    let rows = match broker {
        Broker::Sqlite => Some(run(sqlite::stream(&store.raw(Driver::Sqlite), count, item))?),
        _ => None,
    };
    let figure = lab.figure("stream, read live", "items/s");
    figure.ours.push(rate(count, read.took));
    figure.floor.extend(rows.map(|rows| rate(count, rows)));
    for (percent, share) in [("p50", 0.5), ("p99", 0.99)] {
        let late = percentile(&read.late, share);
        lab.figure(&format!("stream, item made to item read, {percent}"), "ms").ours.push(late);
    }
    lab.figure("`cx.progress` in a loop", "ns/call").ours.push(read.report);
    lab.subject.drop_store(store);
    Ok(())
}

/// What reading showed.
struct Read {
    took: Duration,
    /// How many ms each timed item took.
    late: Vec<f64>,
    /// How many ns a report takes.
    report: f64,
}

/// Reads the streams of a worker.
async fn read(
    broker: Broker,
    url: &str,
    count: u64,
    timed: u64,
    talks: u64,
) -> anyhow::Result<Read> {
    let worker = Running::start(broker, url, Exit::Never).await?;
    let client = Client::open(url).await?;
    // The first job waits for the worker's start.
    let report = talk(talks).delay_on(&client).await?.await?;
    let since = Instant::now();
    let mut read = items(count).delay_on(&client).await?.stream();
    let mut seen = 0;
    while let Some(item) = read.next().await {
        ensure!(item?.0 == seen, "the items are out of order");
        seen += 1;
    }
    let took = since.elapsed();
    ensure!(seen == count, "{seen} of {count} items were read");
    let mut late = Vec::new();
    let mut items = made_at(timed).delay_on(&client).await?.stream();
    while let Some(made) = items.next().await {
        late.push(ms_since(made?));
    }
    client.close().await?;
    worker.stop().await?;
    Ok(Read { took, late, report })
}
