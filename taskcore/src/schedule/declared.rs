//! Schedules that tasks declare with their attribute.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::spec::{Bounds, InvalidSchedule, Missed, Spec, Ticks};
use crate::broker::{NewSchedule, Origin, ScheduleRecord, Template};
use crate::envelope::Envelope;
use crate::options::CallOptions;
use crate::task::{Registry, TaskDescriptor};

/// The schedule that an attribute declares, under the name of its task.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// When it ticks.
    pub ticks: DeclaredTicks,
    /// What becomes of missed ticks.
    pub missed: Missed,
}

/// When a declared schedule ticks.
#[derive(Debug, Clone, Copy)]
pub enum DeclaredTicks {
    /// This long after each other.
    Every(Duration),
    /// At civil times.
    Cron {
        /// The expression, checked by the attribute.
        expression: &'static str,
        /// The zone; UTC by default.
        zone: Option<&'static str>,
    },
}

/// A declaration that only a running program can see to be wrong: its zone is unknown here, or
/// its date never comes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot schedule task `{task}` ({file}:{line})")]
pub struct InvalidDeclaration {
    /// The task.
    pub task: &'static str,
    /// The file of its function.
    pub file: &'static str,
    /// The line of its function.
    pub line: u32,
    /// What is wrong.
    #[source]
    pub source: InvalidSchedule,
}

/// The schedules that these tasks declare, to be stored now.
///
/// # Errors
///
/// [`InvalidDeclaration`] of the first that is wrong.
pub fn declared(tasks: &Registry, now: Timestamp) -> Result<Vec<NewSchedule>, InvalidDeclaration> {
    let schedule = |task: &'static TaskDescriptor| {
        let declaration = task.schedule.as_ref()?;
        Some(of_task(task, declaration, now).map_err(|source| {
            let TaskDescriptor { name: task, file, line, .. } = *task;
            InvalidDeclaration { task, file, line, source }
        }))
    };
    tasks.tasks().filter_map(schedule).collect()
}

fn of_task(
    task: &TaskDescriptor,
    declaration: &Declaration,
    now: Timestamp,
) -> Result<NewSchedule, InvalidSchedule> {
    let ticks = match declaration.ticks {
        DeclaredTicks::Every(interval) => Ticks::Every(interval),
        DeclaredTicks::Cron { expression, zone } => Ticks::Cron { expression, zone },
    };
    let spec = Spec::new(ticks, Bounds::default(), declaration.missed)?;
    let Some(next) = spec.first(now) else {
        return Err(InvalidSchedule::Never { ticks: spec.described() });
    };
    Ok(NewSchedule {
        name: task.name.to_owned(),
        spec: spec.encode(),
        origin: Origin::Declared,
        next: Some(next),
        template: template(task),
    })
}

/// A job of the task without arguments, with the options of the task.
fn template(task: &TaskDescriptor) -> Template {
    let options = CallOptions::of_task(&task.options);
    let args: &RawValue = serde_json::from_str("{}").expect("an empty object is JSON");
    let envelope = Envelope::new(task.name, args, BTreeMap::new(), &options, BTreeMap::new());
    Template {
        envelope: envelope.encode(),
        queue: options.queue,
        task: Cow::Borrowed(task.name),
        priority: options.priority,
        expires_in: options.expires_in,
    }
}

/// What a program's own tasks say of a stored schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it should be, as far as this program can tell.
    Sound,
    /// An attribute declared it, and the task is linked and does not declare it any more.
    Removed,
    /// No task of this program has the name of its task; that of another may.
    Unlinked,
}

/// What these tasks say of a stored schedule.
#[must_use]
pub fn standing(record: &ScheduleRecord, tasks: &Registry) -> Standing {
    match tasks.find_any(&record.template.task) {
        None => Standing::Unlinked,
        Some(_) if record.origin == Origin::Called => Standing::Sound,
        // A task that was renamed declares its schedule under its new name.
        Some(task) if task.schedule.is_none() || task.name != record.name => Standing::Removed,
        Some(_) => Standing::Sound,
    }
}
