//! An idle worker: how soon it starts a job of another process, and what it costs meanwhile.

use std::time::Duration;

use futures::future::try_join;
use hereafter::Client;
use hereafter::worker::Exit;

use crate::floor::Driver;
use crate::lab::{Lab, run};
use crate::ours::{Running, started_at};
use crate::percentiles::{TOLD, ms_since, now, percentile};
use crate::side::Receiver;
use crate::subject::Store;

/// From the call to the handler's start; before the percentile.
pub(crate) const TO_START: &str = "idle, `.delay()` to handler started, ";

/// From the call to the result at the caller.
pub(crate) const TO_RESULT: &str = "idle, `.delay()` to result at the caller, ";

/// Between two jobs.
const GAP: Duration = Duration::from_millis(15);

/// How long both took, in ms.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    pub(super) start: Vec<f64>,
    pub(super) result: Vec<f64>,
}

/// Measures latencies, and in the first run what an idle worker uses.
pub(super) fn measure(lab: &mut Lab, number: u32) -> anyhow::Result<()> {
    let store = lab.new_store();
    let (jobs, broker) = (if lab.scale.is_quick { 20 } else { 300 }, lab.broker());
    let watch = Duration::from_millis(if lab.scale.is_quick { 200 } else { 20_000 });
    let (ours, share) = run(async {
        let worker = Running::start(broker, &store.url, Exit::Never).await?;
        let ours = latencies(&store.url, jobs).await?;
        let share = match &worker {
            Running::Process(process) if number == 1 => Some(process.cpu_share(watch)?),
            _ => None,
        };
        worker.stop().await?;
        Ok((ours, share))
    })?;
    let floor = round_trips(lab, &store, jobs, GAP)?;
    tell(lab, [TO_START, TO_RESULT], &ours, floor.as_deref());
    if let Some(share) = share {
        lab.figure("idle, CPU of the worker", "% of a core").ours.push(share * 100.0);
    }
    lab.subject.drop_store(store);
    Ok(())
}

/// Notes percentiles of both latencies, and of the floor's beside the first.
pub(super) fn tell(lab: &mut Lab, names: [&str; 2], ours: &Latencies, floor: Option<&[f64]>) {
    for (name, ours, floor) in [(names[0], &ours.start, floor), (names[1], &ours.result, None)] {
        for (percent, share) in TOLD {
            let figure = lab.figure(&format!("{name}{percent}"), "ms");
            figure.ours.push(percentile(ours, share));
            figure.floor.extend(floor.map(|floor| percentile(floor, share)));
        }
    }
}

async fn latencies(url: &str, jobs: u64) -> anyhow::Result<Latencies> {
    let client = Client::open(url).await?;
    // The first job waits for the worker's start.
    started_at().delay_on(&client).await?.await?;
    let mut latencies = Latencies::default();
    for _ in 0..jobs {
        tokio::time::sleep(GAP).await;
        let called = now();
        let started = started_at().delay_on(&client).await?.await?;
        latencies.result.push(ms_since(called));
        latencies.start.push(started.saturating_sub(called) as f64 / 1e6);
    }
    client.close().await?;
    Ok(latencies)
}

/// How many ms the way between two processes takes by the raw driver: a commit, a wake-up, a claim.
pub(super) fn round_trips(
    lab: &Lab,
    store: &Store,
    jobs: u64,
    gap: Duration,
) -> anyhow::Result<Option<Vec<f64>>> {
    let floors = lab.floors(store);
    let Some((driver, floor)) = floors.first() else { return Ok(None) };
    let Some(round_trip) = floor.round_trip() else { return Ok(None) };
    run(floor.prepare())?;
    let took = if *driver == Driver::Memory {
        run(async {
            let receive = round_trip.receive(jobs, &|| {});
            Ok(try_join(receive, round_trip.send(jobs, gap)).await?.0)
        })?
    } else {
        let receiver = Receiver::start(*driver, &store.raw(*driver), jobs)?;
        run(round_trip.send(jobs, gap))?;
        receiver.took()?
    };
    Ok(Some(took))
}
