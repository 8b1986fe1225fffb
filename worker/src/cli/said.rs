//! What a job said: its progress, its log, and how many items its stream has.

use std::time::Duration;

use serde::Serialize;
use taskcore::broker::{BrokerError, JobRecord, LogLine, Progress, ReadItems};

use super::output::shown;
use super::progress;
use super::store::Store;
use super::times::in_short;
use crate::view::counted;

/// What a job said so far; nothing where the store keeps nothing of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Said {
    progress: Option<Progress>,
    /// How many items; `None` if it is no stream, or has not begun.
    stream_items: Option<u64>,
    log: Vec<LogLine>,
}

/// How much of a log is printed for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLines {
    /// The last ones.
    Last,
    All,
}

/// How many these are.
const LAST: usize = 20;

impl Said {
    /// Asks the store.
    pub(crate) async fn by(store: &Store, job: &JobRecord) -> Result<Self, BrokerError> {
        let streamed = job.result.as_ref().and_then(taskcore::Payload::streamed);
        let Some(reports) = &store.reports else {
            return Ok(Self { stream_items: streamed, ..Self::default() });
        };
        let first = ReadItems { job: job.id, run: None, from: 0, max: 1 };
        let items = reports.items(&first, Duration::ZERO).await?;
        Ok(Self {
            progress: reports.progress(job.id, None, Duration::ZERO).await?.progress,
            stream_items: streamed.or(items.run.map(|_| items.total)),
            log: reports.log(job.id).await?,
        })
    }

    /// What is short.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let progress = self.progress.as_ref().map(progress::line);
        let stream = self.stream_items.map(|items| counted(items, "item"));
        let fields = [("progress", progress), ("stream", stream)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The log, the oldest line first; empty if there is none.
    pub(crate) fn log(&self, lines: LogLines) -> String {
        let all = self.log.len();
        let left_out = match lines {
            LogLines::All => 0,
            LogLines::Last => all.saturating_sub(LAST),
        };
        if all == 0 {
            return String::new();
        }
        let mut text = match left_out {
            0 => "log\n".to_owned(),
            _ => format!("log: the last {LAST} of {all} lines; --log shows all\n"),
        };
        for line in &self.log[left_out..] {
            let (at, attempt) = (in_short(line.at), line.attempt);
            text += &format!("{at}  attempt {attempt}  {}\n", shown(&line.text));
        }
        text
    }
}
