//! `stats`: what became of the jobs of each task, and the times that they took.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use taskcore::broker::TaskStats;

use super::error::CliError;
use super::output::{Output, shown, table};
use super::settings::Settings;
use super::store::Store;
use super::times::rounded;

/// Whose.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Only this task
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
}

/// The sums of one task. Spans are in seconds.
#[derive(Debug, Serialize)]
struct Line {
    task: String,
    stored: u64,
    done: u64,
    failed: u64,
    retried: u64,
    lost: u64,
    cancelled: u64,
    expired: u64,
    runs: u64,
    run_seconds: f64,
    mean_run_seconds: Option<f64>,
    longest_run_seconds: f64,
    wait_seconds: f64,
    mean_wait_seconds: Option<f64>,
    longest_wait_seconds: f64,
}

/// Prints the sums of each task.
pub(crate) fn show(settings: &Settings, output: Output, args: &StatsArgs) -> Result<(), CliError> {
    let mut stats = Store::with(settings, async |store| Ok(store.history()?.stats().await?))?;
    if let Some(task) = &args.task {
        stats.retain(|stats| stats.task == *task);
    }
    let lines: Vec<_> = stats.into_iter().map(Line::of).collect();
    output.show(&lines, |lines| text(lines, args.task.as_deref()))
}

impl Line {
    fn of(stats: TaskStats) -> Self {
        Self {
            mean_run_seconds: mean(stats.run_time, stats.runs),
            mean_wait_seconds: mean(stats.wait_time, stats.runs),
            task: stats.task,
            stored: stats.stored,
            done: stats.done,
            failed: stats.failed,
            retried: stats.retried,
            lost: stats.lost,
            cancelled: stats.cancelled,
            expired: stats.expired,
            runs: stats.runs,
            run_seconds: stats.run_time.as_secs_f64(),
            longest_run_seconds: stats.longest_run.as_secs_f64(),
            wait_seconds: stats.wait_time.as_secs_f64(),
            longest_wait_seconds: stats.longest_wait.as_secs_f64(),
        }
    }

    fn row(&self) -> [String; 13] {
        // Without a run there is no longest one.
        let longest = |seconds: f64| span((self.runs > 0).then_some(seconds));
        [
            shown(&self.task),
            self.stored.to_string(),
            self.done.to_string(),
            self.failed.to_string(),
            self.retried.to_string(),
            self.lost.to_string(),
            self.cancelled.to_string(),
            self.expired.to_string(),
            self.runs.to_string(),
            span(self.mean_run_seconds),
            longest(self.longest_run_seconds),
            span(self.mean_wait_seconds),
            longest(self.longest_wait_seconds),
        ]
    }
}

fn text(lines: &[Line], task: Option<&str>) -> String {
    match task {
        Some(task) if lines.is_empty() => {
            format!("no job of task `{}` was ever stored\n", shown(task))
        }
        None if lines.is_empty() => "no job was ever stored\n".to_owned(),
        _ => table(TITLES, lines.iter().map(Line::row)),
    }
}

fn mean(sum: Duration, runs: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let runs = (runs > 0).then_some(runs as f64)?;
    Some(sum.as_secs_f64() / runs)
}

fn span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| rounded(Duration::from_secs_f64(seconds)))
}

const TITLES: [&str; 13] = [
    "TASK",
    "STORED",
    "DONE",
    "FAILED",
    "RETRIED",
    "LOST",
    "CANCELLED",
    "EXPIRED",
    "RUNS",
    "MEAN RUN",
    "LONGEST RUN",
    "MEAN WAIT",
    "LONGEST WAIT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_the_runs_and_there_is_none_without_one() {
        let stats = TaskStats {
            runs: 4,
            run_time: Duration::from_secs(6),
            longest_run: Duration::from_secs(3),
            wait_time: Duration::from_millis(1_000),
            ..TaskStats::default()
        };
        let line = Line::of(stats);
        assert_eq!(line.mean_run_seconds, Some(1.5));
        assert_eq!(line.mean_wait_seconds, Some(0.25));
        assert_eq!(line.row()[9..], ["1s 500ms", "3s", "250ms", "0s"]);
        let line = Line::of(TaskStats::default());
        assert_eq!((line.mean_run_seconds, line.mean_wait_seconds), (None, None));
        assert_eq!(line.row()[9..], ["-"; 4]);
    }
}
