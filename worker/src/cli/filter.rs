//! Which jobs a command means, and whether the person at it means all of them.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use taskcore::QueueName;
use taskcore::broker::JobFilter;

use super::error::CliError;
use super::output::shown;
use super::times::Moment;

/// Narrows a command to some jobs.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only jobs of this task
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// Only jobs of this queue
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Only jobs created at or after this time: RFC 3339, local, or how long ago (90m)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only jobs created before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
}

/// Agrees beforehand to what a command would ask.
#[derive(Debug, Default, Args)]
pub(crate) struct ConsentArgs {
    /// Mean every job there is, where nothing narrows the command
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl FilterArgs {
    /// The filter for the store.
    pub(crate) fn to_filter(&self) -> JobFilter {
        JobFilter {
            task: self.task.clone(),
            queue: self.queue.clone(),
            created_from: self.since.map(|since| since.0),
            created_before: self.until.map(|until| until.0),
            ..JobFilter::default()
        }
    }

    /// Whether it narrows anything.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { task, queue, since, until } = self;
        task.is_none() && queue.is_none() && since.is_none() && until.is_none()
    }

    /// What it narrows to, for a question: ` of task …`, or nothing.
    pub(crate) fn described(&self) -> String {
        let mut text = String::new();
        if let Some(task) = &self.task {
            text += &format!(" of task `{}`", shown(task));
        }
        if let Some(queue) = &self.queue {
            text += &format!(" of queue `{queue}`");
        }
        if let Some(Moment(since)) = self.since {
            text += &format!(" created since {since:.0}");
        }
        if let Some(Moment(until)) = self.until {
            text += &format!(" created before {until:.0}");
        }
        text
    }
}

impl ConsentArgs {
    /// Makes sure that a command without a filter is meant so, and asks the `question` where
    /// there is a terminal to ask on.
    pub(crate) fn obtain(&self, filter: &FilterArgs, question: &str) -> Result<(), CliError> {
        if filter.is_empty() && !self.all {
            let text = "nothing narrows this command: pass --task, --queue, --since or --until, or \
                        --all if you mean every job";
            return Err(CliError::Usage(text.to_owned()));
        }
        self.answer(question)
    }

    /// Asks the `question` unless `--yes` answers it.
    pub(crate) fn answer(&self, question: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let text = format!("there is no terminal to ask on ({question}): pass --yes");
            return Err(CliError::Usage(text));
        }
        let answer = is_yes(question, io::stdin().lock(), io::stderr().lock());
        if answer.map_err(CliError::Output)? {
            return Ok(());
        }
        Err(CliError::Unsuccessful("not confirmed; nothing was changed".to_owned()))
    }
}

fn is_yes(question: &str, mut person: impl BufRead, mut screen: impl Write) -> io::Result<bool> {
    write!(screen, "{question} [y/N] ")?;
    screen.flush()?;
    let mut answer = String::new();
    person.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("yesterday\n", false)]
        {
            let mut screen = Vec::new();
            assert_eq!(is_yes("sure?", answer.as_bytes(), &mut screen).unwrap(), expected);
            assert_eq!(screen, b"sure? [y/N] ");
        }
    }

    #[test]
    fn a_question_says_what_the_filter_narrows_to() {
        let filter = FilterArgs {
            task: Some("app::send\n".to_owned()),
            queue: Some(QueueName::DEFAULT),
            since: Some(Moment("2026-05-01T12:00:00Z".parse().unwrap())),
            until: None,
        };
        assert_eq!(
            filter.described(),
            " of task `app::send\\n` of queue `default` created since 2026-05-01T12:00:00Z"
        );
        assert_eq!(FilterArgs::default().described(), "");
    }
}
