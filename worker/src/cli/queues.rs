//! `queues list|purge|pause|resume`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use taskcore::QueueName;
use taskcore::broker::{JobFilter, JobState, QueueStatus};

use super::error::CliError;
use super::filter::ConsentArgs;
use super::output::{Output, count, table};
use super::settings::Settings;
use super::store::Store;
use super::times::between;
use crate::view::counted;

/// The verbs of queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueuesCommand {
    /// Show every queue that holds a job or is paused
    List,
    /// Delete the waiting jobs of a queue: those that are ready, scheduled or blocked
    Purge(PurgeArgs),
    /// Hand out no more jobs of these queues, in any worker; running ones go on
    Pause(NamesArgs),
    /// Hand out jobs of these queues again
    Resume(NamesArgs),
}

/// What to purge.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// The queue; or --all
    #[arg(conflicts_with = "all")]
    queue: Option<QueueName>,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Some queues.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// The queues
    #[arg(required = true, value_name = "QUEUE")]
    queues: Vec<QueueName>,
}

/// States of a job that waits.
const WAITING: [JobState; 3] = [JobState::Scheduled, JobState::Blocked, JobState::Ready];

#[derive(Debug, Serialize)]
struct Purged {
    queue: Option<QueueName>,
    purged: u64,
}

#[derive(Debug, Serialize)]
struct Paused {
    queue: QueueName,
    paused: bool,
}

/// Runs one verb.
pub(crate) fn run(
    settings: &Settings,
    output: Output,
    command: &QueuesCommand,
) -> Result<(), CliError> {
    match command {
        QueuesCommand::List => list(settings, output),
        QueuesCommand::Purge(args) => purge(settings, output, args),
        QueuesCommand::Pause(args) => hold(settings, output, &args.queues, Hold::Pause),
        QueuesCommand::Resume(args) => hold(settings, output, &args.queues, Hold::Resume),
    }
}

fn list(settings: &Settings, output: Output) -> Result<(), CliError> {
    let queues = Store::with(settings, async |store| Ok(store.operate.queues().await?))?;
    output.show(&queues, |queues| text(queues, Timestamp::now()))
}

fn text(queues: &[QueueStatus], now: Timestamp) -> String {
    if queues.is_empty() {
        return "no queue holds a job or is paused\n".to_owned();
    }
    let are_counted = queues.iter().any(|queue| queue.consumers.is_some());
    let row = |queue: &QueueStatus| {
        let depth = &queue.depth;
        let age = depth.oldest_ready.map_or_else(|| "-".to_owned(), |since| between(since, now));
        let mut row = vec![
            depth.queue.to_string(),
            if queue.paused { "yes" } else { "no" }.to_owned(),
            count(depth.ready),
            count(depth.scheduled),
            count(depth.blocked),
            count(depth.running),
            count(depth.failed),
            age,
        ];
        if are_counted {
            row.push(count(queue.consumers));
        }
        row
    };
    let mut titles = vec![
        "QUEUE",
        "PAUSED",
        "READY",
        "SCHEDULED",
        "BLOCKED",
        "RUNNING",
        "FAILED",
        "OLDEST READY",
    ];
    if are_counted {
        titles.push("CONSUMERS");
    }
    table(titles, queues.iter().map(row))
}

fn purge(settings: &Settings, output: Output, args: &PurgeArgs) -> Result<(), CliError> {
    let place = match &args.queue {
        Some(queue) => format!("of queue `{queue}`"),
        None if args.consent.all => "of every queue".to_owned(),
        None => {
            let text = "no queue is named: name one, or pass --all to empty every queue";
            return Err(CliError::Usage(text.to_owned()));
        }
    };
    args.consent.answer(&format!("delete the waiting jobs {place}?"))?;
    let purged = Store::with(settings, async |store| {
        let filter = JobFilter {
            queue: args.queue.clone(),
            states: WAITING.to_vec(),
            ..JobFilter::default()
        };
        Ok(store.operate.purge(&filter).await?)
    })?;
    let purged = Purged { queue: args.queue.clone(), purged };
    output.show(&purged, |Purged { purged, .. }| {
        format!("deleted {} {place}\n", counted(*purged, "waiting job"))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Pause,
    Resume,
}

fn hold(
    settings: &Settings,
    output: Output,
    queues: &[QueueName],
    hold: Hold,
) -> Result<(), CliError> {
    let paused = hold == Hold::Pause;
    Store::with(settings, async |store| {
        for queue in queues {
            store.operate.pause(queue, paused).await?;
        }
        Ok(())
    })?;
    let held: Vec<_> = queues.iter().map(|queue| Paused { queue: queue.clone(), paused }).collect();
    let verb = if paused { "paused" } else { "resumed" };
    output.show(&held, |held| {
        held.iter().map(|queue| format!("{verb} queue `{}`\n", queue.queue)).collect()
    })
}
