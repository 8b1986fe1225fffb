//! `jobs list|show|watch|cancel|retry`, and `replay`.

use std::collections::HashSet;
use std::num::NonZeroU32;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use taskcore::JobId;
use taskcore::broker::{BrokerError, CancelOutcome, CancelScope, JobFilter, JobRecord, JobState};

use super::error::CliError;
use super::filter::{ConsentArgs, FilterArgs};
use super::graph;
use super::items;
use super::output::{Output, shown, start_of, table};
use super::said::LogLines;
use super::settings::Settings;
use super::show;
use super::store::Store;
use super::times::{between, distance, in_short};
use super::watch;
use crate::view::counted;

/// The verbs of jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first
    List(ListArgs),
    /// Show all that is known of one job
    Show(ShowArgs),
    /// Follow one job until it ends: exits with 0 if it is done, else with 1
    Watch(WatchArgs),
    /// Cancel jobs, by id or by filter; a running one is told to stop
    Cancel(CancelArgs),
    /// Run failed jobs again, by id
    Retry(RetryArgs),
}

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only jobs in this state (repeat, or separate by commas): scheduled, blocked, ready,
    /// running, done, failed, cancelled or expired
    #[arg(long, value_delimiter = ',')]
    state: Vec<JobState>,
    /// The most jobs
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroU32,
}

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The job
    id: JobId,
    /// Print the job and all the jobs that it needs as a Mermaid flowchart instead; more than 20
    /// equal inputs of a job are one box. With --json, print every job and edge
    #[arg(long)]
    graph: bool,
    /// Print the items of its stream instead: those that are there, each as JSON on one line
    #[arg(long, conflicts_with = "graph")]
    items: bool,
    /// Print all lines of its log, not only the last 20
    #[arg(long, conflicts_with_all = ["graph", "items"])]
    log: bool,
}

/// What to watch.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The job
    id: JobId,
}

/// What to cancel.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The jobs; or a filter
    #[arg(value_name = "ID", conflicts_with_all = ["task", "queue", "since", "until", "all"])]
    ids: Vec<JobId>,
    /// Leave alone the jobs that were made for the cancelled ones, as parts of their calls;
    /// otherwise they are cancelled, too, unless other jobs need them
    #[arg(long)]
    keep_inputs: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// What to retry.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The failed jobs
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
}

/// What to replay.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Jobs looked up and cancelled at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Serialize)]
struct Cancelled {
    job: JobId,
    outcome: CancelOutcome,
}

#[derive(Debug, Serialize)]
struct Replayed {
    replayed: usize,
    jobs: Vec<JobId>,
}

/// Runs one verb.
pub(crate) fn run(
    settings: &Settings,
    output: Output,
    command: &JobsCommand,
) -> Result<(), CliError> {
    match command {
        JobsCommand::List(args) => list(settings, output, args),
        JobsCommand::Show(args) if args.graph => graph::show(settings, output, args.id),
        JobsCommand::Show(args) if args.items => items::show(settings, args.id),
        JobsCommand::Show(args) => {
            let lines = if args.log { LogLines::All } else { LogLines::Last };
            show::show(settings, output, args.id, lines)
        }
        JobsCommand::Watch(args) => watch::watch(settings, output, args.id),
        JobsCommand::Cancel(args) => cancel(settings, output, args),
        JobsCommand::Retry(args) => retry(settings, output, &args.ids),
    }
}

/// `replay`: failed jobs again, in order of creation, each once.
pub(crate) fn replay(
    settings: &Settings,
    output: Output,
    args: &ReplayArgs,
) -> Result<(), CliError> {
    let which = args.filter.described();
    args.consent.obtain(&args.filter, &format!("run the failed jobs{which} again?"))?;
    let filter = args.filter.to_filter();
    let jobs = Store::with(settings, async |store| Ok(store.operate.replay(&filter).await?))?;
    show_replayed(output, jobs)
}

fn list(settings: &Settings, output: Output, args: &ListArgs) -> Result<(), CliError> {
    let filter = JobFilter {
        states: args.state.clone(),
        limit: Some(args.limit.get()),
        ..args.filter.to_filter()
    };
    let jobs = Store::with(settings, async |store| Ok(store.operate.jobs(&filter).await?))?;
    output.show(&jobs, |jobs| text(jobs, Timestamp::now()))
}

fn text(jobs: &[JobRecord], now: Timestamp) -> String {
    if jobs.is_empty() {
        return "no job fits\n".to_owned();
    }
    let row = |job: &JobRecord| {
        [
            job.id.to_string(),
            job.state.to_string(),
            shown(&job.task),
            job.queue.to_string(),
            job.failures.to_string(),
            in_short(job.created_at),
            note(job, now),
        ]
    };
    let titles = ["ID", "STATE", "TASK", "QUEUE", "FAILURES", "CREATED", "NOTE"];
    table(titles, jobs.iter().map(row))
}

/// The one thing that matters most in this state.
fn note(job: &JobRecord, now: Timestamp) -> String {
    let failure = || job.failure.as_ref().map(|failure| start_of(&failure.to_string(), 80));
    match (job.state, job.started_at) {
        (JobState::Scheduled, _) => {
            let due = format!("due {}", distance(job.due_at, now));
            failure().map_or(due.clone(), |failure| format!("{due} after: {failure}"))
        }
        (JobState::Blocked, _) => {
            format!("waits for {}", counted(job.waits_for.into(), "input"))
        }
        (JobState::Ready, _) => format!("waits {}", between(job.due_at, now)),
        (JobState::Running, Some(started)) => {
            let worker = job.worker.as_deref().map_or_else(String::new, shown);
            format!("on {worker} for {}", between(started, now))
        }
        (JobState::Done, Some(started)) => {
            let ran = job.finished_at.map(|finished| between(started, finished));
            ran.map_or_else(String::new, |ran| format!("ran {ran}"))
        }
        _ => failure().unwrap_or_default(),
    }
}

fn cancel(settings: &Settings, output: Output, args: &CancelArgs) -> Result<(), CliError> {
    let scope = if args.keep_inputs { CancelScope::JobsAlone } else { CancelScope::WithInputs };
    let cancelled = if args.ids.is_empty() {
        let which = args.filter.described();
        let question = format!("cancel the waiting and running jobs{which}?");
        args.consent.obtain(&args.filter, &question)?;
        Store::with(settings, async |store| {
            Ok(cancel_matching(store, &args.filter.to_filter(), scope).await?)
        })?
    } else {
        Store::with(settings, async |store| Ok(cancel_ids(store, &args.ids, scope).await?))?
    };
    output.show(&cancelled, |cancelled| cancel_text(cancelled))?;
    let is_missed = |outcome| matches!(outcome, CancelOutcome::TooLate | CancelOutcome::Unknown);
    let missed = cancelled.iter().filter(|cancelled| is_missed(cancelled.outcome)).count();
    // A filter means what is there; an id means that job.
    if missed == 0 || args.ids.is_empty() {
        return Ok(());
    }
    Err(CliError::Unsuccessful(format!("{missed} of {} jobs were not cancelled", cancelled.len())))
}

async fn cancel_ids(
    store: &Store,
    ids: &[JobId],
    scope: CancelScope,
) -> Result<Vec<Cancelled>, BrokerError> {
    let mut cancelled = Vec::with_capacity(ids.len());
    for page in ids.chunks(PAGE as usize) {
        let outcomes = store.operate.cancel(page, scope).await?;
        let pairs = page.iter().zip(outcomes);
        cancelled.extend(pairs.map(|(job, outcome)| Cancelled { job: *job, outcome }));
    }
    Ok(cancelled)
}

/// Cancels what waits page by page, then what runs.
///
/// A cancelled job leaves the states asked for, so the same question brings the next page. What
/// runs is at most what all workers have slots for, and may be listed as running for a while
/// after its cancellation; so it is asked for once.
async fn cancel_matching(
    store: &Store,
    filter: &JobFilter,
    scope: CancelScope,
) -> Result<Vec<Cancelled>, BrokerError> {
    let mut cancelled = Vec::new();
    for state in [JobState::Blocked, JobState::Scheduled, JobState::Ready] {
        let page = JobFilter { states: vec![state], limit: Some(PAGE), ..filter.clone() };
        let mut seen = HashSet::new();
        loop {
            let found = ids(store, &page).await?;
            // Nothing new: the rest of the page changed its state between the two calls.
            if !found.iter().any(|id| seen.insert(*id)) {
                break;
            }
            cancelled.extend(cancel_ids(store, &found, scope).await?);
        }
    }
    let running = JobFilter { states: vec![JobState::Running], ..filter.clone() };
    let running = ids(store, &running).await?;
    cancelled.extend(cancel_ids(store, &running, scope).await?);
    Ok(cancelled)
}

async fn ids(store: &Store, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
    Ok(store.operate.jobs(filter).await?.into_iter().map(|job| job.id).collect())
}

fn cancel_text(cancelled: &[Cancelled]) -> String {
    let line = |outcome: CancelOutcome, text: &str| {
        let count = cancelled.iter().filter(|cancelled| cancelled.outcome == outcome).count();
        if count == 0 { String::new() } else { format!("{count} {text}\n") }
    };
    if cancelled.is_empty() {
        return "no job fits\n".to_owned();
    }
    [
        line(CancelOutcome::Prevented, "cancelled before they started"),
        line(CancelOutcome::Signalled, "running; told to stop"),
        line(CancelOutcome::TooLate, "ended before"),
        line(CancelOutcome::Unknown, "not stored"),
    ]
    .concat()
}

fn retry(settings: &Settings, output: Output, ids: &[JobId]) -> Result<(), CliError> {
    let filter = JobFilter { ids: Some(ids.to_vec()), ..JobFilter::default() };
    let jobs = Store::with(settings, async |store| Ok(store.operate.replay(&filter).await?))?;
    let done: HashSet<_> = jobs.iter().copied().collect();
    show_replayed(output, jobs)?;
    let missed: Vec<_> = ids.iter().filter(|id| !done.contains(id)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    let missed: Vec<_> = missed.iter().map(ToString::to_string).collect();
    Err(CliError::Unsuccessful(format!(
        "only failed jobs run again; not so: {}",
        missed.join(", ")
    )))
}

fn show_replayed(output: Output, jobs: Vec<JobId>) -> Result<(), CliError> {
    let replayed = Replayed { replayed: jobs.len(), jobs };
    output.show(&replayed, |Replayed { replayed, .. }| {
        let verb = if *replayed == 1 { "runs" } else { "run" };
        format!("{} {verb} again\n", counted(*replayed as u64, "job"))
    })
}
