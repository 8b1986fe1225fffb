//! [`WorkerConfig`]: parsed and complete before anything starts.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use taskcore::broker::Maintain;
use taskcore::{Client, QueueName};

/// How a worker works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// How many jobs run at once, async and plain together; cores × 8 by default.
    pub concurrency: NonZeroU32,
    /// The queues it serves; empty (the default) is `default` and those that its tasks name.
    pub queues: Vec<QueueConfig>,
    /// For how long a delivery belongs to this worker; renewed at a third of it. 30 s by default.
    pub lease: Duration,
    /// How long running jobs may finish after a stop; 25 s by default, below the 30 s that
    /// Kubernetes waits.
    pub grace: Duration,
    /// How long jobs have to react to their cancelled `Context` before they are dropped; 5 s by
    /// default.
    pub cancel_grace: Duration,
    /// Stops once nothing is due and nothing runs.
    pub exit: Exit,
    /// Stops once it was handed so many jobs and they have ended; never by default.
    pub max_jobs: Option<NonZeroU64>,
    /// Whether it stops, letting the other jobs finish, once a job outlives its time-out and cannot be
    /// dropped: for processes that are replaced when they end. Otherwise it goes on with one slot less, and
    /// ends when it has none. Off by default.
    pub ends_when_stuck: bool,
    /// What upkeep may do at once, and how many recoveries a job has.
    pub maintain: Maintain,
    /// The largest result, in encoded bytes; 1 MiB by default.
    pub result_limit: usize,
    /// The worker's name in records and logs: `host:pid` by default.
    pub name: String,
}

/// When a worker stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    /// Never.
    #[default]
    Never,
    /// Once no job is due and none runs. Jobs that are due later are not waited for.
    Drained,
    /// Once no job came for this long and none runs.
    Idle(Duration),
}

/// One queue of a worker: `name`, `name:weight`, `name=limit` or `name:weight=limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// The queue.
    pub name: QueueName,
    /// How often it is served first, against the other queues; 1 by default.
    pub weight: NonZeroU32,
    /// How many of its jobs this worker has in hand at once; `None` is up to the concurrency.
    pub limit: Option<NonZeroU32>,
}

impl QueueConfig {
    /// A queue of weight 1 without a limit.
    #[must_use]
    pub fn new(name: QueueName) -> Self {
        Self { name, weight: NonZeroU32::MIN, limit: None }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let concurrency = u32::try_from(cores.saturating_mul(8)).unwrap_or(u32::MAX);
        Self {
            concurrency: NonZeroU32::new(concurrency).unwrap_or(NonZeroU32::MIN),
            queues: Vec::new(),
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(5),
            exit: Exit::Never,
            max_jobs: None,
            ends_when_stuck: false,
            maintain: Maintain::default(),
            result_limit: Client::PAYLOAD_LIMIT,
            name: default_name(),
        }
    }
}

/// A text that describes no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a queue: write `name`, `name:weight`, `name=limit` or `name:weight=limit` ({reason})"
)]
pub struct InvalidQueueConfig {
    text: String,
    reason: String,
}

impl FromStr for QueueConfig {
    type Err = InvalidQueueConfig;

    fn from_str(text: &str) -> Result<Self, InvalidQueueConfig> {
        let refuse = |reason: String| InvalidQueueConfig { text: text.to_owned(), reason };
        let number = |what: &str, digits: &str| {
            digits
                .parse::<NonZeroU32>()
                .map_err(|error| refuse(format!("{what} `{digits}`: {error}")))
        };
        let (rest, limit) = match text.split_once('=') {
            Some((rest, limit)) => (rest, Some(number("limit", limit)?)),
            None => (text, None),
        };
        let (name, weight) = match rest.split_once(':') {
            Some((name, weight)) => (name, number("weight", weight)?),
            None => (rest, NonZeroU32::MIN),
        };
        let name = QueueName::new(name).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { name, weight, limit })
    }
}

impl fmt::Display for QueueConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.weight != NonZeroU32::MIN {
            write!(f, ":{}", self.weight)?;
        }
        match self.limit {
            Some(limit) => write!(f, "={limit}"),
            None => Ok(()),
        }
    }
}

fn default_name() -> String {
    // The variable is set by shells only; the file is there on Linux, also in containers.
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "localhost".to_owned());
    format!("{host}:{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_with_weight_and_limit() {
        for text in ["mail", "mail:3", "mail=5", "mail:3=5"] {
            assert_eq!(text.parse::<QueueConfig>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_broken_queue_is_named_with_the_remedy() {
        for text in ["", "mail:", "mail=0", "a b", "mail:x=3"] {
            let error = text.parse::<QueueConfig>().unwrap_err().to_string();
            assert!(error.contains("name:weight=limit"), "{error}");
        }
    }
}
