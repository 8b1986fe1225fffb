//! How late delayed jobs begin, on a worker that has nothing else to do: from the call, plus its
//! delay, to the handler's start. None may begin early, by the milliseconds in which due times are kept.

use std::ops::Range;
use std::time::Duration;

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use hereafter::Client;
use hereafter::worker::Exit;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::broker::Broker;
use crate::lab::{Lab, run};
use crate::ours::{Running, started_at};
use crate::percentiles::{now, percentile};

/// A time of the call is cut to whole milliseconds, and the delay begins there.
const DUE_RESOLUTION_MS: f64 = 1.0;

/// Jobs of each of these delays.
const EACH: usize = 20;

const FIXED: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(7),
    Duration::from_secs(65),
];

/// Jobs that are stored at the same time.
const AT_ONCE: usize = 64;

/// Measures delays of some fixed lengths, and of random ones.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let store = lab.new_store();
    let groups = match lab.scale.is_quick {
        true => groups(&FIXED[..1], 0..500, 100),
        false => groups(&FIXED, 0..30_000, lab.scale.jobs(1_000)),
    };
    let late = run(late_ms(lab.broker(), &store.url, &groups))?;
    for (Group { name, .. }, late_ms) in groups.iter().zip(late) {
        let early = late_ms.iter().filter(|late| **late < -DUE_RESOLUTION_MS).count();
        ensure!(early == 0, "{early} jobs began early: {name}");
        for (told, share) in [("p50", 0.5), ("p99", 0.99), ("most", 1.0)] {
            let what = format!("delayed by {name}: late, {told}");
            lab.figure(&what, "ms").ours.push(percentile(&late_ms, share));
        }
    }
    lab.subject.drop_store(store);
    Ok(())
}

/// Jobs that are told of together.
struct Group {
    name: String,
    delays: Vec<Duration>,
}

/// So many jobs of each fixed delay, and `random` ones within a range of milliseconds.
fn groups(fixed: &[Duration], range_ms: Range<u64>, random: u64) -> Vec<Group> {
    let of = |delay: &Duration| Group { name: format!("{delay:?}"), delays: vec![*delay; EACH] };
    // The same ones in each run.
    let mut rng = StdRng::seed_from_u64(1);
    let name = format!("up to {:?}, at random", Duration::from_millis(range_ms.end));
    let delays = (0..random).map(|_| Duration::from_millis(rng.random_range(range_ms.clone())));
    fixed.iter().map(of).chain([Group { name, delays: delays.collect() }]).collect()
}

/// How late each job of each group began.
async fn late_ms(broker: Broker, url: &str, groups: &[Group]) -> anyhow::Result<Vec<Vec<f64>>> {
    let worker = Running::start(broker, url, Exit::Never).await?;
    let client = Client::open(url).await?;
    // Not measured: the worker's start, and the first delay of a system, which declares queues.
    started_at().delay_on(&client).await?.await?;
    client.scope(started_at().call_after(Duration::from_secs(65))).await?;
    let mut late = Vec::with_capacity(groups.len());
    let delays = groups.iter().flat_map(|group| &group.delays);
    let stored: Vec<_> = stream::iter(delays)
        .map(async |delay| {
            let called = now();
            let handle = client.scope(started_at().call_after(*delay)).await?;
            anyhow::Ok((called, delay, handle))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut stored = stored.into_iter();
    for group in groups {
        let mut of_group = Vec::with_capacity(group.delays.len());
        for (called, delay, handle) in stored.by_ref().take(group.delays.len()) {
            let waited = handle.await?.abs_diff(called) as f64 / 1e6;
            of_group.push(waited - delay.as_secs_f64() * 1e3);
        }
        late.push(of_group);
    }
    client.close().await?;
    worker.stop().await?;
    Ok(late)
}
