//! `jobs watch ID`: one job, until it ends.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;
use taskcore::broker::{
    Event, EventId, EventKind, Events, JobRecord, JobState, Outcome, Progress, ProgressNow,
};
use taskcore::{Failure, JobId};

use super::error::CliError;
use super::output::{Format, Output, shown};
use super::progress;
use super::settings::Settings;
use super::show;
use super::store::Store;
use super::times::in_short;
use super::waiting::Waiting;

/// A job as it is now.
#[derive(Debug, Serialize)]
struct Now {
    job: JobId,
    state: JobState,
    progress: Option<Progress>,
    /// Why it failed, once it has.
    failure: Option<Failure>,
}

/// Where changes are shown.
enum Screen {
    /// One line for each.
    Lines(Output),
    /// One line that changes.
    Bar(ProgressBar),
}

/// One question waits this long, so that a change of the state alone is seen soon.
const WAIT: Duration = Duration::from_secs(1);

/// Events in one answer.
const PAGE: u32 = 1_000;

/// How often the bar shows that it is alive.
const TICK: Duration = Duration::from_millis(100);

/// Shows how far a job is until it ends.
pub(crate) fn watch(settings: &Settings, output: Output, id: JobId) -> Result<(), CliError> {
    Store::with(settings, async |store| {
        let screen = Screen::of(output);
        let ended = follow(store, &screen, id).await;
        screen.clear();
        let (now, error) = ended?;
        output.show_each(&[now], Now::text)?;
        error.map_or(Ok(()), |error| Err(CliError::Unsuccessful(error)))
    })
}

/// How it ended, and the error if it is not done.
async fn follow(
    store: &Store,
    screen: &Screen,
    id: JobId,
) -> Result<(Now, Option<String>), CliError> {
    let reports = store.reports()?;
    let mut waiting = Waiting::begin()?;
    let since = match &store.history {
        Some(history) => Some(history.events(None, PAGE, Duration::ZERO).await?.next),
        None => None,
    };
    let mut seen: Option<(u64, Now)> = None;
    loop {
        // The first answer comes at once, the others when there is news.
        let version = seen.as_ref().map(|(version, _)| *version);
        let wait = if version.is_none() { Duration::ZERO } else { WAIT };
        let reports = reports.clone();
        let question = async move { reports.progress(id, version, wait).await };
        let Some(ProgressNow { progress, version: newest, state }) =
            waiting.answer(question).await?
        else {
            let text = format!("stopped before job {id} ended; it goes on");
            return Err(CliError::Unsuccessful(text));
        };
        match (state, seen) {
            (Some(state), _) if state.is_final() => return end(store, id, progress).await,
            (Some(state), before) => {
                let now = Now { job: id, state, progress, failure: None };
                if before.is_none_or(|(version, old)| version != newest || old.state != state) {
                    screen.show(&now)?;
                }
                seen = Some((newest, now));
            }
            (None, None) => return Err(show::not_stored(id)),
            (None, Some((_, last))) => return end_by_events(store, since, last).await,
        }
    }
}

async fn end(
    store: &Store,
    id: JobId,
    progress: Option<Progress>,
) -> Result<(Now, Option<String>), CliError> {
    let Some(record) = store.record(id).await? else { return Err(not_kept(id)) };
    let JobRecord { task, state, failure, finished_at, .. } = record;
    let now = Now { job: id, state, progress, failure: failure.clone() };
    let finished_at = finished_at.unwrap_or_else(Timestamp::now);
    let outcome = Outcome { job: id, task, state, result: None, failure, finished_at };
    Ok((now, outcome.error().map(|error| shown(&error.to_string()))))
}

/// How a job ended that is deleted at its end, as after `ignore_result`: what happened since the
/// watch began tells whether it is done.
async fn end_by_events(
    store: &Store,
    since: Option<EventId>,
    last: Now,
) -> Result<(Now, Option<String>), CliError> {
    let (Some(history), Some(mut since)) = (&store.history, since) else {
        return Err(not_kept(last.job));
    };
    loop {
        let Events { events, next, .. } = history.events(Some(since), PAGE, Duration::ZERO).await?;
        let is_done = |event: &Event| event.job == last.job && event.kind == EventKind::Done;
        if events.iter().any(is_done) {
            return Ok((Now { state: JobState::Done, ..last }, None));
        }
        if events.is_empty() {
            return Err(not_kept(last.job));
        }
        since = next;
    }
}

fn not_kept(id: JobId) -> CliError {
    CliError::Unsuccessful(format!("job {id} is not done, or was deleted: nothing is kept of it"))
}

impl Screen {
    fn of(output: Output) -> Self {
        if output.format == Format::Json || !io::stdout().is_terminal() {
            return Self::Lines(output);
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}")
            .expect("the template is well-formed");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(style);
        bar.enable_steady_tick(TICK);
        Self::Bar(bar)
    }

    fn show(&self, now: &Now) -> Result<(), CliError> {
        match self {
            Self::Lines(output) => output.show_each(&[now], |now| now.text()),
            Self::Bar(bar) => {
                bar.set_message(now.described());
                Ok(())
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Now {
    fn text(&self) -> String {
        format!("{}  {}\n", in_short(Timestamp::now()), self.described())
    }

    fn described(&self) -> String {
        let progress = self.progress.as_ref().map(progress::line).unwrap_or_default();
        format!("{:<9}  {progress}", self.state).trim_end().to_owned()
    }
}
