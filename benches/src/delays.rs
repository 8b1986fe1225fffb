//! How late delayed jobs begin, on a worker that has nothing else to do.

use std::ops::Range;
use std::time::Duration;

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Scale;
use crate::idle::{now, start_worker, started_at};

/// Jobs of each of these delays.
const EACH: usize = 20;

const FIXED: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(7),
    Duration::from_secs(65),
];

/// Jobs of a random delay, unless told otherwise.
const RANDOM: u64 = 1_000;

/// Jobs that are stored at the same time.
const AT_ONCE: usize = 64;

/// Prints how late jobs begin. None may begin early.
pub(crate) fn measure(kind: &str, url: &str, scale: Scale) -> anyhow::Result<()> {
    let mut worker = start_worker(url)?;
    let groups = match scale.quick {
        true => groups(&FIXED[..2], 0..3_000, 100),
        false => groups(&FIXED, 0..30_000, scale.jobs.unwrap_or(RANDOM)),
    };
    let measured = tokio::runtime::Runtime::new()?.block_on(late_ms(url, &groups));
    worker.kill()?;
    worker.wait()?;
    println!("{kind}, idle worker process, jobs of another process");
    println!("lateness: from `.call_after()` called, plus the delay, to handler started");
    let mut early = 0;
    for (Group { name, delays }, mut late_ms) in groups.iter().zip(measured?) {
        late_ms.sort_by(f64::total_cmp);
        let at = |share: f64| late_ms[((late_ms.len() - 1) as f64 * share) as usize];
        let too_soon = late_ms.iter().filter(|late| **late < 0.0).count();
        println!(
            "{name:<22} {jobs:>5} jobs  early {too_soon}  min {:.0} ms  p50 {:.0} ms  p99 {:.0} ms  max {:.0} ms",
            at(0.0),
            at(0.5),
            at(0.99),
            at(1.0),
            jobs = delays.len(),
        );
        early += too_soon;
    }
    ensure!(early == 0, "{early} jobs began early");
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
    let name = format!("random, up to {:?}", Duration::from_millis(range_ms.end));
    let delays = (0..random).map(|_| Duration::from_millis(rng.random_range(range_ms.clone())));
    fixed.iter().map(of).chain([Group { name, delays: delays.collect() }]).collect()
}

/// How late each job of each group began.
async fn late_ms(url: &str, groups: &[Group]) -> anyhow::Result<Vec<Vec<f64>>> {
    let client = hereafter::connect(url).await?;
    // Not measured: the worker's start, and the first delay of a system, which declares queues.
    started_at().delay().await?.await?;
    started_at().call_after(Duration::from_secs(65)).await?;
    let mut late = Vec::with_capacity(groups.len());
    let delays = groups.iter().flat_map(|group| &group.delays);
    let stored: Vec<_> = stream::iter(delays)
        .map(async |delay| {
            let called = now();
            anyhow::Ok((called, delay, started_at().call_after(*delay).await?))
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
    Ok(late)
}
