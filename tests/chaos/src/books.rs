//! What is asked of the server when all is over.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use hereafter::broker::{EventKind, JobFilter, JobState, Lookup};
use hereafter::{Client, Followed, JobId, QueueName};

use crate::audit::{Books, Queues, Records};
use crate::server::Kind;
use crate::worker::TASK;

/// How many jobs are known not to have ended.
async fn open_jobs(client: &Client) -> anyhow::Result<u64> {
    let open = client.connection().context("the client has no connection")?;
    let depths = open.broker.depth(&[QueueName::DEFAULT]).await?;
    let states = |depth: &hereafter::broker::Depth| {
        [depth.ready, depth.scheduled, depth.blocked, depth.running]
            .into_iter()
            .flatten()
            .sum::<u64>()
    };
    Ok(depths.iter().map(states).sum())
}

/// Whether no job is open. A store that cannot be asked now is asked again.
pub(crate) async fn is_drained(url: &str) -> bool {
    let asked = async {
        let client = Client::open(url).await?;
        let open = open_jobs(&client).await?;
        client.close().await?;
        anyhow::Ok(open)
    };
    matches!(asked.await, Ok(0))
}

/// What is known of these jobs besides the ledgers.
pub(crate) async fn records(
    client: &Client,
    kind: Kind,
    jobs: &[JobId],
) -> anyhow::Result<Records> {
    match kind.is_without_store() {
        true => Ok(Records::Queues(queues(client).await?)),
        false => Ok(Records::Store(books(client, jobs).await?)),
    }
}

/// What the store says of these jobs.
async fn books(client: &Client, jobs: &[JobId]) -> anyhow::Result<Books> {
    let mut books = Books { open: open_jobs(client).await?, ..Books::default() };
    for (job, lookup) in client.outcomes(jobs).await? {
        let is_done = matches!(lookup, Lookup::Final(outcome) if outcome.state == JobState::Done);
        books.done.insert(job, is_done);
    }
    let mut events = client.events().from_oldest().until_quiet(QUIET).boxed();
    while let Some(followed) = events.try_next().await? {
        match followed {
            Followed::Event(event) if event.kind == EventKind::Done => {
                *books.verdicts.entry(event.job).or_default() += 1;
            }
            Followed::Event(_) => {}
            Followed::Missed(count) => bail!("the store has dropped {count} events"),
        }
    }
    let stats = client.stats().await?;
    for stats in stats.iter().filter(|stats| stats.task == TASK) {
        books.stored += stats.stored;
        books.ended_done += stats.done;
        books.failures += stats.failed + stats.retried;
        books.leases_lost += stats.lost;
    }
    Ok(books)
}

/// What the queues of RabbitMQ have.
async fn queues(client: &Client) -> anyhow::Result<Queues> {
    let connection = client.connection().context("the client has no connection")?;
    let operate = connection.operate.as_ref().context("the broker cannot be operated")?;
    let failed = JobFilter { states: vec![JobState::Failed], ..JobFilter::default() };
    let failed: HashSet<JobId> =
        operate.jobs(&failed).await?.into_iter().map(|failed| failed.id).collect();
    Ok(Queues { ready: open_jobs(client).await?, failed })
}

/// Events are told in order, so nothing for so long is the end of them.
const QUIET: Duration = Duration::from_millis(500);
