//! An idle worker: how soon it starts a job of another process, and what it costs meanwhile.

use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hereafter::prelude::*;

/// Answers when it was started, in ns since 1970: both processes read one machine's clock.
#[register_task]
pub(crate) async fn started_at() -> u64 {
    now()
}

/// Jobs of one measurement, one each 15 ms.
const JOBS: usize = 300;

/// How long an idle worker is watched.
const WATCH: Duration = Duration::from_secs(20);

/// Prints latencies and the CPU share of an idle worker process.
pub(crate) fn measure_sqlite() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    measure("SQLite", &format!("sqlite://{}", folder.path().join("idle.db").display()))
}

/// The same for a store of this kind.
pub(crate) fn measure(kind: &str, url: &str) -> anyhow::Result<()> {
    let mut worker = start_worker(url)?;
    let measured = tokio::runtime::Runtime::new()?.block_on(latencies(url));
    let idle = measured.and_then(|latencies| Ok((latencies, cpu_share(&worker)?)));
    worker.kill()?;
    worker.wait()?;
    let ((mut start, mut result), share) = idle?;
    println!("{kind}, idle worker process, {JOBS} jobs of another process, one each 15 ms");
    print("`.delay()` called to handler started", &mut start);
    print("`.delay()` called to result at the caller", &mut result);
    println!("CPU of the worker while idle for {WATCH:?}: {:.2} % of a core", share * 100.0);
    Ok(())
}

/// A worker process that runs until it is killed.
pub(crate) fn start_worker(url: &str) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["run", "--log-level", "error"])
        .env("HEREAFTER_URL", url)
        .spawn()
        .context("cannot start a worker process")
}

async fn latencies(url: &str) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let client = hereafter::connect(url).await?;
    // The first job waits for the worker's start.
    started_at().delay().await?.await?;
    let (mut start, mut result) = (Vec::new(), Vec::new());
    for _ in 0..JOBS {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let called = now();
        let started = started_at().delay().await?.await?;
        start.push((started - called) as f64 / 1e6);
        result.push((now() - called) as f64 / 1e6);
    }
    client.close().await?;
    Ok((start, result))
}

pub(crate) fn print(what: &str, ms: &mut [f64]) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share) as usize];
    println!("{what:<44} p50 {:.2} ms  p95 {:.2} ms  p99 {:.2} ms", at(0.5), at(0.95), at(0.99));
}

/// The share of one core that the process uses while it has nothing to do.
fn cpu_share(worker: &Child) -> anyhow::Result<f64> {
    let (before, watched) = (cpu_time(worker)?, Instant::now());
    std::thread::sleep(WATCH);
    let used = cpu_time(worker)? - before;
    Ok(used.as_secs_f64() / watched.elapsed().as_secs_f64())
}

/// User and system time so far: fields 14 and 15 of proc(5), in ticks of 10 ms.
fn cpu_time(worker: &Child) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.id()))?;
    // The program's name, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(") ").context("no name in the process's figures")?.1;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
