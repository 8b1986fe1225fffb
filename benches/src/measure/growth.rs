//! What draining costs when other jobs are there: behind those that are drained, or finished.

use hereafter::Client;
use hereafter::worker::Exit;

use super::RATE;
use super::drain;
use crate::floor::{Leave, Manner};
use crate::lab::{Lab, run};
use crate::ours::{self, Running, started_at};
use crate::subject::{Store, Subject};
use crate::table::grouped;

/// What is said of jobs that wait behind, after their number.
pub(crate) const WAITING: &str = "waiting behind";

/// What is said of jobs that have ended.
pub(crate) const FINISHED: &str = "finished before";

/// The most others.
const OTHERS: u64 = 1_000_000;

/// Jobs that are drained.
const DRAINED: u64 = 20_000;

/// Measures up to a million others. What ours is divided by here is ours beside the fewest.
pub(super) fn measure(lab: &mut Lab) -> anyhow::Result<()> {
    let most = lab.scale.jobs(OTHERS);
    let drained = lab.scale.jobs(DRAINED);
    for kind in [WAITING, FINISHED] {
        // What has ended is no more on RabbitMQ alone.
        if kind == FINISHED && !lab.broker().keeps_outcomes() {
            continue;
        }
        let mut fewest: Option<(u64, f64)> = None;
        for others in [most / 100, most / 10, most] {
            let store = lab.new_store();
            let subject = lab.subject.as_ref();
            let rate = run(rate(subject, &store, kind, others, drained))?;
            let beside = fewest.map(|(fewest, _)| format!(", beside {}", grouped(fewest)));
            let what = format!("drain, {} {kind}{}", grouped(others), beside.unwrap_or_default());
            let figure = lab.figure(&what, RATE);
            figure.others = Some(others);
            figure.ours.push(rate);
            figure.floor.extend(fewest.map(|(_, rate)| rate));
            fewest.get_or_insert((others, rate));
            lab.subject.drop_store(store);
        }
    }
    Ok(())
}

/// Jobs per second, between the first and the last that were stored: each tells when it was started.
///
/// Before it, the server tidies up after the others: what is measured is that they are there, and not that
/// they came.
async fn rate(
    subject: &dyn Subject,
    store: &Store,
    kind: &str,
    others: u64,
    drained: u64,
) -> anyhow::Result<f64> {
    let broker = subject.broker();
    if kind == FINISHED {
        ours::fill(&store.url, others, Leave::Outcome).await?;
        drain::ours(broker, &store.url, 1).await?;
    }
    let client = Client::open(store.url.as_str()).await?;
    let first = started_at().delay_on(&client).await?;
    ours::store(&client, drained, Manner::Batch(10_000), Leave::Outcome).await?;
    let last = started_at().delay_on(&client).await?;
    if kind == WAITING {
        ours::fill(&store.url, others, Leave::Outcome).await?;
    }
    subject.rest()?;
    let worker = Running::start(broker, &store.url, Exit::Never).await?;
    let (first, last) = (first.await?, last.await?);
    worker.stop().await?;
    client.close().await?;
    Ok(drained as f64 * 1e9 / last.saturating_sub(first).max(1) as f64)
}
