//! `events`: what happens to jobs, as it happens.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use taskcore::broker::{Event, EventId, EventKind, Events};

use super::error::CliError;
use super::output::{Output, shown};
use super::settings::Settings;
use super::store::Store;
use super::times::to_the_millisecond;
use super::waiting::Waiting;
use crate::view::counted;

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Begin with the oldest event that is kept; with what happens from now on by default
    #[arg(long, group = "start")]
    from_oldest: bool,
    /// Begin after the event of this number
    #[arg(long, value_name = "ID", group = "start")]
    after: Option<EventId>,
    /// End where nothing more has happened so far; needs --from-oldest or --after
    #[arg(long, requires = "start")]
    no_follow: bool,
    /// Only events of this kind (repeat, or separate by commas)
    #[arg(long, value_delimiter = ',', value_parser = kind_parser())]
    kind: Vec<EventKind>,
    /// Only events of jobs of this task, as long as the jobs are kept
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Event(Event),
    Gap { missed: u64 },
}

/// Events in one answer.
const PAGE: u32 = 1_000;

/// One question waits this long for news; wake-ups end it sooner.
const WAIT: Duration = Duration::from_secs(10);

/// Prints events until it is told to stop, or until there are no more.
pub(crate) fn run(settings: &Settings, output: Output, args: &EventsArgs) -> Result<(), CliError> {
    Store::with(settings, async |store| follow(store, output, args).await)
}

async fn follow(store: &Store, output: Output, args: &EventsArgs) -> Result<(), CliError> {
    let history = store.history()?;
    let mut waiting = Waiting::begin()?;
    let now = history.events(None, PAGE, Duration::ZERO).await?.next;
    let mut position = args.start().unwrap_or(now);
    // Who begins with what is there has missed nothing that it asked for.
    let mut tells_missed = !args.from_oldest;
    let wait = if args.no_follow { Duration::ZERO } else { WAIT };
    loop {
        let history = history.clone();
        let question = async move { history.events(Some(position), PAGE, wait).await };
        let Some(Events { missed, events, next }) = waiting.answer(question).await? else {
            return Ok(());
        };
        let is_at_end = events.is_empty() || next >= now;
        let gap = (missed > 0 && tells_missed).then_some(Line::Gap { missed });
        tells_missed |= !events.is_empty();
        let events = events.into_iter().filter(|event| args.wants(event)).map(Line::Event);
        let lines: Vec<_> = gap.into_iter().chain(events).collect();
        output.show_each(&lines, Line::text)?;
        if args.no_follow && is_at_end {
            return Ok(());
        }
        position = next;
    }
}

impl EventsArgs {
    /// Where it begins; `None` for now.
    fn start(&self) -> Option<EventId> {
        if self.from_oldest { Some(EventId::START) } else { self.after }
    }

    fn wants(&self, event: &Event) -> bool {
        let is_kind = self.kind.is_empty() || self.kind.contains(&event.kind);
        let is_task = self.task.is_none() || self.task == event.task;
        is_kind && is_task
    }
}

impl Line {
    fn text(&self) -> String {
        match self {
            Self::Event(Event { id, at, kind, job, task }) => {
                let (id, at) = (id.0, to_the_millisecond(*at));
                let task = task.as_deref().map_or_else(|| "-".to_owned(), shown);
                format!("{id:>8}  {at}  {kind:<9}  {task:<24}  {job}\n")
            }
            Self::Gap { missed } => {
                let missed = counted(*missed, "event");
                format!("      --  {missed} missed: no longer kept by the store\n")
            }
        }
    }
}

fn kind_parser() -> impl TypedValueParser<Value = EventKind> {
    let names = EventKind::ALL.map(EventKind::as_str);
    PossibleValuesParser::new(names).map(|name| {
        let mut kinds = EventKind::ALL.into_iter();
        kinds.find(|kind| kind.as_str() == name).expect("the names are those of all kinds")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_line_that_says_how_many_were_missed() {
        let gap = Line::Gap { missed: 12 };
        assert_eq!(gap.text(), "      --  12 events missed: no longer kept by the store\n");
        assert_eq!(serde_json::to_string(&gap).unwrap(), r#"{"missed":12}"#);
    }
}
