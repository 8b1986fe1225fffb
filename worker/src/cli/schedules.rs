//! `schedules list|pause|resume|run|delete`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use taskcore::JobId;
use taskcore::broker::{Found, Hold, Origin, ScheduleFilter, ScheduleRecord};
use taskcore::schedule::{self, Spec, Standing};

use super::error::CliError;
use super::output::{Output, shown, table};
use super::settings::Settings;
use super::store::Store;
use super::times::{distance, in_short};

/// The verbs of schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Show every schedule, with its next tick and what is wrong with it
    List,
    /// Hold schedules back
    Pause(NamesArgs),
    /// Let schedules go on with their next tick; those that came meanwhile are passed over
    Resume(NamesArgs),
    /// Run the job of schedules once now, beside their ticks
    Run(NamesArgs),
    /// Delete schedules; a declared one comes back with the next worker that declares it
    Delete(NamesArgs),
}

/// Some schedules.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// The schedules
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    schedule: String,
    when: String,
    missed: Option<&'static str>,
    origin: Origin,
    task: String,
    queue: String,
    paused: bool,
    next: Option<Timestamp>,
    last: Option<Timestamp>,
    until: Option<Timestamp>,
    created_at: Timestamp,
    jobs: Vec<JobId>,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Held {
    schedule: String,
    paused: bool,
}

#[derive(Debug, Serialize)]
struct Run {
    schedule: String,
    job: JobId,
}

#[derive(Debug, Serialize)]
struct Deleted {
    schedule: String,
}

/// Runs one verb.
pub(crate) fn run(
    settings: &Settings,
    output: Output,
    command: &SchedulesCommand,
) -> Result<(), CliError> {
    match command {
        SchedulesCommand::List => list(settings, output),
        SchedulesCommand::Pause(args) => hold(settings, output, &args.names, Hold::Paused),
        SchedulesCommand::Resume(args) => hold(settings, output, &args.names, Hold::Running),
        SchedulesCommand::Run(args) => run_now(settings, output, &args.names),
        SchedulesCommand::Delete(args) => delete(settings, output, &args.names),
    }
}

fn list(settings: &Settings, output: Output) -> Result<(), CliError> {
    let records = Store::with(settings, async |store| {
        Ok(store.schedules()?.list(&ScheduleFilter::default()).await?)
    })?;
    let lines: Vec<_> = records.into_iter().map(Line::of).collect();
    output.show(&lines, |lines| text(lines, Timestamp::now()))
}

impl Line {
    fn of(record: ScheduleRecord) -> Self {
        let spec = Spec::decode(&record.spec);
        let note = match &spec {
            Err(error) => Some(error.to_string()),
            Ok(_) => note(&record),
        };
        let spec = spec.ok();
        Self {
            when: spec.as_ref().map_or_else(|| record.spec.clone(), Spec::described),
            missed: spec.as_ref().map(|spec| spec.missed().as_str()),
            until: spec.as_ref().and_then(Spec::until),
            note,
            schedule: record.name,
            origin: record.origin,
            task: record.template.task.into_owned(),
            queue: record.template.queue.to_string(),
            paused: record.hold == Hold::Paused,
            next: record.next,
            last: record.last,
            created_at: record.created_at,
            jobs: record.runs,
        }
    }

    fn row(&self, now: Timestamp) -> [String; 6] {
        let next = match self.next {
            _ if self.paused => "paused".to_owned(),
            None => "ended".to_owned(),
            Some(next) if next <= now => format!("due {}", distance(next, now)),
            Some(next) => distance(next, now),
        };
        [
            shown(&self.schedule),
            shown(&self.when),
            shown(&self.task),
            next,
            self.last.map_or_else(|| "-".to_owned(), in_short),
            self.note.as_deref().map_or_else(String::new, shown),
        ]
    }
}

/// What this program's own tasks say of it. A program without tasks, as `hereafter` is, knows
/// nothing of anybody's.
fn note(record: &ScheduleRecord) -> Option<String> {
    let tasks = taskcore::registry();
    tasks.tasks().next()?;
    match schedule::standing(record, tasks) {
        Standing::Sound => None,
        Standing::Removed => Some("not declared any more".to_owned()),
        Standing::Unlinked => Some("its task is not linked here".to_owned()),
    }
}

fn text(lines: &[Line], now: Timestamp) -> String {
    if lines.is_empty() {
        return "no schedule is stored\n".to_owned();
    }
    let titles = ["NAME", "WHEN", "TASK", "NEXT", "LAST", "NOTE"];
    table(titles, lines.iter().map(|line| line.row(now)))
}

fn hold(settings: &Settings, output: Output, names: &[String], hold: Hold) -> Result<(), CliError> {
    let found = Store::with(settings, async |store| {
        let schedules = store.schedules()?;
        if hold == Hold::Paused {
            return Ok(schedules.hold(names, hold).await?);
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            found.push(schedule::resume(&**schedules, name).await?);
        }
        Ok(found)
    })?;
    let (known, unknown) = apart(names, &found);
    let paused = hold == Hold::Paused;
    let held: Vec<_> = known.into_iter().map(|schedule| Held { schedule, paused }).collect();
    let verb = if paused { "paused" } else { "resumed" };
    output.show(&held, |held| lines(verb, held.iter().map(|held| &held.schedule)))?;
    check_known(&unknown)
}

fn run_now(settings: &Settings, output: Output, names: &[String]) -> Result<(), CliError> {
    let jobs = Store::with(settings, async |store| {
        let schedules = store.schedules()?;
        let mut jobs = Vec::with_capacity(names.len());
        for name in names {
            jobs.push(schedule::run_now(&**schedules, name).await?);
        }
        Ok(jobs)
    })?;
    let (mut runs, mut unknown) = (Vec::new(), Vec::new());
    for (name, job) in names.iter().zip(jobs) {
        match job {
            Some(job) => runs.push(Run { schedule: name.clone(), job }),
            None => unknown.push(name.clone()),
        }
    }
    let line = |run: &Run| format!("runs schedule `{}`: job {}\n", shown(&run.schedule), run.job);
    output.show(&runs, |runs| runs.iter().map(line).collect())?;
    check_known(&unknown)
}

fn delete(settings: &Settings, output: Output, names: &[String]) -> Result<(), CliError> {
    let found = Store::with(settings, async |store| Ok(store.schedules()?.delete(names).await?))?;
    let (known, unknown) = apart(names, &found);
    let deleted: Vec<_> = known.into_iter().map(|schedule| Deleted { schedule }).collect();
    output.show(&deleted, |deleted| {
        lines("deleted", deleted.iter().map(|deleted| &deleted.schedule))
    })?;
    check_known(&unknown)
}

/// The names that were found, and the others.
fn apart(names: &[String], found: &[Found]) -> (Vec<String>, Vec<String>) {
    let pairs = names.iter().cloned().zip(found);
    let (known, unknown): (Vec<_>, Vec<_>) = pairs.partition(|(_, found)| **found == Found::Known);
    let names = |pairs: Vec<(String, &Found)>| pairs.into_iter().map(|(name, _)| name).collect();
    (names(known), names(unknown))
}

fn lines<'a>(verb: &str, names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{verb} schedule `{}`\n", shown(name))).collect()
}

fn check_known(unknown: &[String]) -> Result<(), CliError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unknown.iter().map(|name| format!("`{}`", shown(name))).collect();
    Err(CliError::Unsuccessful(format!("no such schedule: {}", names.join(", "))))
}
