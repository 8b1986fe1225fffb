//! `tasks`: what is linked into this program.

use serde::Serialize;
use taskcore::{TaskDescriptor, TaskKind};

use super::error::CliError;
use super::output::{Format, Output, table};

#[derive(Debug, Serialize)]
struct Task {
    name: &'static str,
    aliases: &'static [&'static str],
    kind: &'static str,
    queue: &'static str,
    priority: i8,
    retries: u32,
    timeout_seconds: Option<f64>,
    params: &'static [&'static str],
    states: Vec<&'static str>,
    file: &'static str,
    line: u32,
}

/// Lists the linked tasks, by name.
pub(crate) fn list(output: Output) -> Result<(), CliError> {
    let tasks: Vec<_> = taskcore::registry().tasks().map(Task::of).collect();
    if tasks.is_empty() && output.format == Format::Text {
        eprintln!(
            "no task is linked into this program: run this command of your own worker program, which names the \
             crate that registers them, `use my_tasks as _;`"
        );
        return Ok(());
    }
    output.show(&tasks, |tasks| text(tasks))
}

impl Task {
    fn of(task: &'static TaskDescriptor) -> Self {
        Self {
            name: task.name,
            aliases: task.aliases,
            kind: match task.kind {
                TaskKind::Async => "async",
                TaskKind::Plain => "plain",
            },
            queue: task.options.queue,
            priority: task.options.priority,
            retries: task.options.retries,
            timeout_seconds: task.options.timeout.map(|timeout| timeout.as_secs_f64()),
            params: task.params,
            states: states(task),
            file: task.file,
            line: task.line,
        }
    }

    fn row(&self) -> [String; 8] {
        let timeout = self.timeout_seconds.map(std::time::Duration::from_secs_f64);
        [
            self.name.to_owned(),
            self.kind.to_owned(),
            self.queue.to_owned(),
            self.retries.to_string(),
            timeout.map_or_else(
                || "-".to_owned(),
                |timeout| humantime::format_duration(timeout).to_string(),
            ),
            self.params.join(", "),
            self.aliases.join(", "),
            format!("{}:{}", self.file, self.line),
        ]
    }
}

/// What it needs, each once; `()` is always there.
fn states(task: &TaskDescriptor) -> Vec<&'static str> {
    let mut states = Vec::new();
    for need in task.states {
        let name = (need.type_name)();
        if name != "()" && !states.contains(&name) {
            states.push(name);
        }
    }
    states
}

fn text(tasks: &[Task]) -> String {
    let titles = ["NAME", "KIND", "QUEUE", "RETRIES", "TIMEOUT", "PARAMS", "ALIASES", "WHERE"];
    table(titles, tasks.iter().map(Task::row))
}
