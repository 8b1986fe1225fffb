//! [`View`]: what can be seen of a running worker, so that an idle one can say why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use taskcore::broker::{Connection, Guarded, QueueStatus};

use crate::config::{Exit, WorkerConfig};
use crate::depths::Depths;
use crate::shutdown::Shutdown;
use crate::status::{Snapshot, Status};
use crate::worker::Worker;

/// A running worker, seen from beside.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) config: Arc<WorkerConfig>,
    status: Arc<Status>,
    shutdown: Shutdown,
    depths: Depths,
    started_at: Timestamp,
}

/// How a worker is, in a form that `/status` and the log show.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) worker: String,
    pub(crate) version: &'static str,
    pub(crate) process: u32,
    pub(crate) started_at: Timestamp,
    pub(crate) state: Life,
    pub(crate) config: ConfigReport,
    pub(crate) slots: Slots,
    pub(crate) fetch: FetchReport,
    pub(crate) stale_verdicts: u64,
    /// Why nothing more runs, what matters most first.
    pub(crate) idle: Vec<String>,
    /// Whether one of the reasons asks for somebody's help.
    #[serde(rename = "in_trouble")]
    pub(crate) is_in_trouble: bool,
    pub(crate) queues: Vec<QueueStatus>,
    /// Why the queues are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queues_error: Option<String>,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Life {
    /// Start hooks run.
    Starting,
    /// It asks for jobs.
    Working,
    /// It was asked to stop.
    Stopping,
    /// It should ask for jobs and does not.
    NotFetching,
}

/// What it was started with. Spans are in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigReport {
    concurrency: u32,
    queues: Vec<String>,
    lease_seconds: f64,
    grace_seconds: f64,
    /// `never`, `drained`, or the span.
    exit: String,
}

/// What runs.
#[derive(Debug, Serialize)]
pub(crate) struct Slots {
    pub(crate) total: usize,
    pub(crate) running: usize,
    pub(crate) stuck: usize,
}

/// What the fetch loop did last.
#[derive(Debug, Serialize)]
pub(crate) struct FetchReport {
    pub(crate) last_fetch: Option<Timestamp>,
    pub(crate) last_wake: Option<Timestamp>,
    pub(crate) last_delivery: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
}

impl View {
    /// A view of this worker.
    pub(crate) fn of(worker: &Worker, connection: &Connection, shutdown: Shutdown) -> Self {
        let config = worker.config();
        let served = config.queues.iter().map(|queue| queue.name.clone()).collect();
        let broker = Guarded::new(connection.broker.clone());
        Self {
            depths: Depths::new(broker, connection.operate.clone(), served),
            status: worker.status(),
            config,
            shutdown,
            started_at: Timestamp::now(),
        }
    }

    /// Where it is in its life; asks nobody.
    pub(crate) fn life(&self) -> Life {
        life(&self.status.snapshot(), self.shutdown.is_requested())
    }

    /// The engine's own numbers.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.status.snapshot()
    }

    /// The queues as they are, at most a second old.
    pub(crate) fn depths(&self) -> &Depths {
        &self.depths
    }

    /// Whether nothing was handed out for this long while there was a free slot.
    pub(crate) fn is_idle_for(&self, span: Duration) -> bool {
        let snapshot = self.status.snapshot();
        let last = snapshot.last_delivery.unwrap_or(self.started_at);
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        Timestamp::now().duration_since(last) >= span && snapshot.running < self.slots()
    }

    /// Everything.
    pub(crate) async fn report(&self) -> Report {
        let (queues, queues_error) = match self.depths.now().await {
            Ok(queues) => (queues, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let snapshot = self.status.snapshot();
        let state = life(&snapshot, self.shutdown.is_requested());
        let reasons = reasons(&self.config, state, &snapshot, &queues);
        Report {
            worker: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
            started_at: self.started_at,
            state,
            config: ConfigReport::of(&self.config),
            slots: Slots { total: self.slots(), running: snapshot.running, stuck: snapshot.stuck },
            fetch: FetchReport {
                last_fetch: snapshot.last_fetch,
                last_wake: snapshot.last_wake,
                last_delivery: snapshot.last_delivery,
                failing_since: snapshot.failing_since,
            },
            stale_verdicts: snapshot.stale,
            is_in_trouble: reasons.iter().any(Reason::is_trouble),
            idle: reasons.iter().map(ToString::to_string).collect(),
            queues,
            queues_error,
        }
    }

    fn slots(&self) -> usize {
        slots(&self.config)
    }
}

impl ConfigReport {
    fn of(config: &WorkerConfig) -> Self {
        Self {
            concurrency: config.concurrency.get(),
            queues: config.queues.iter().map(ToString::to_string).collect(),
            lease_seconds: config.lease.as_secs_f64(),
            grace_seconds: config.grace.as_secs_f64(),
            exit: match config.exit {
                Exit::Never => "never".to_owned(),
                Exit::Drained => "drained".to_owned(),
                Exit::Idle(span) => format!("idle for {}", humantime::format_duration(span)),
            },
        }
    }
}

impl Life {
    /// Whether the worker takes jobs; else why not.
    pub(crate) fn readiness(self) -> Result<(), &'static str> {
        match self {
            Self::Working => Ok(()),
            Self::Starting => Err("the worker has not begun to ask for jobs"),
            Self::Stopping => Err("the worker is stopping"),
            Self::NotFetching => Err("the fetch loop has ended, or the broker does not answer it"),
        }
    }
}

/// One reason for which a worker runs nothing more.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Life(&'static str),
    BrokerSilent { since: Timestamp },
    SlotsStuck { stuck: usize, total: usize },
    SlotsTaken { total: usize },
    Paused { queue: String, ready: u64 },
    Limited { queue: String, ready: u64, limit: u32 },
    NotServed { queue: String, ready: u64 },
    NothingDue { queues: String, scheduled: u64, blocked: u64 },
}

impl Reason {
    /// Whether somebody should do something.
    fn is_trouble(&self) -> bool {
        !matches!(self, Self::SlotsTaken { .. } | Self::Limited { .. } | Self::NothingDue { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life(reason) => f.write_str(reason),
            Self::BrokerSilent { since } => {
                write!(f, "the broker has not answered since {since:.0}")
            }
            Self::SlotsStuck { stuck, total } => {
                write!(f, "{stuck} of {total} slots are held by plain functions that do not stop")
            }
            Self::SlotsTaken { total } => write!(f, "all {total} slots are taken"),
            Self::Paused { queue, ready } => write!(
                f,
                "queue `{queue}` has {} and is paused: `queues resume {queue}` lets them go",
                counted(*ready, "due job")
            ),
            Self::Limited { queue, ready, limit } => write!(
                f,
                "queue `{queue}` has {} and this worker runs at most {limit} of it at once",
                counted(*ready, "due job")
            ),
            Self::NotServed { queue, ready } => write!(
                f,
                "queue `{queue}` has {} and this worker does not serve it: `run --queue {queue}` would",
                counted(*ready, "due job")
            ),
            Self::NothingDue { queues, scheduled, blocked } => {
                write!(f, "nothing is due in {queues}")?;
                match scheduled {
                    0 => {}
                    1 => f.write_str("; 1 job is due later")?,
                    scheduled => write!(f, "; {scheduled} jobs are due later")?,
                }
                match blocked {
                    0 => Ok(()),
                    1 => f.write_str("; 1 job waits for others"),
                    blocked => write!(f, "; {blocked} jobs wait for others"),
                }
            }
        }
    }
}

/// A count with its noun, such as `1 job` and `2 jobs`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

fn life(snapshot: &Snapshot, is_stopping: bool) -> Life {
    if is_stopping {
        Life::Stopping
    } else if snapshot.last_fetch.is_none() {
        Life::Starting
    } else if snapshot.is_fetching {
        Life::Working
    } else {
        Life::NotFetching
    }
}

/// Why nothing more runs, what matters most first.
fn reasons(
    config: &WorkerConfig,
    life: Life,
    snapshot: &Snapshot,
    queues: &[QueueStatus],
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Err(reason) = life.readiness() {
        reasons.push(Reason::Life(reason));
    }
    if let Some(since) = snapshot.failing_since {
        reasons.push(Reason::BrokerSilent { since });
    }
    let total = slots(config);
    if snapshot.stuck > 0 {
        reasons.push(Reason::SlotsStuck { stuck: snapshot.stuck, total });
    }
    if snapshot.running >= total {
        reasons.push(Reason::SlotsTaken { total });
    }
    reasons.extend(queues.iter().filter_map(|queue| held_back(config, queue)));
    let is_due = queues.iter().any(|queue| queue.depth.ready.unwrap_or(0) > 0);
    if !is_due && !queues.is_empty() {
        let names: Vec<_> = config.queues.iter().map(|queue| format!("`{}`", queue.name)).collect();
        let served = || queues.iter().filter(|queue| serves(config, queue).is_some());
        let scheduled = served().filter_map(|queue| queue.depth.scheduled).sum();
        let blocked = served().filter_map(|queue| queue.depth.blocked).sum();
        reasons.push(Reason::NothingDue { queues: names.join(", "), scheduled, blocked });
    }
    reasons
}

/// Why the due jobs of one queue do not run here.
fn held_back(config: &WorkerConfig, queue: &QueueStatus) -> Option<Reason> {
    let ready = queue.depth.ready.filter(|ready| *ready > 0)?;
    let name = queue.depth.queue.to_string();
    let Some(served) = serves(config, queue) else {
        return Some(Reason::NotServed { queue: name, ready });
    };
    if queue.paused {
        return Some(Reason::Paused { queue: name, ready });
    }
    let limit = served.limit?.get();
    Some(Reason::Limited { queue: name, ready, limit })
}

fn serves<'a>(
    config: &'a WorkerConfig,
    queue: &QueueStatus,
) -> Option<&'a crate::config::QueueConfig> {
    config.queues.iter().find(|served| served.name == queue.depth.queue)
}

fn slots(config: &WorkerConfig) -> usize {
    usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use taskcore::QueueName;
    use taskcore::broker::Depth;

    use super::*;

    fn config() -> WorkerConfig {
        let queues = vec!["mail".parse().unwrap(), "bulk=2".parse().unwrap()];
        WorkerConfig { queues, ..WorkerConfig::default() }
    }

    fn queue(name: &str, ready: u64) -> QueueStatus {
        let name = QueueName::new(name).unwrap();
        QueueStatus {
            depth: Depth { ready: Some(ready), ..Depth::empty(name) },
            paused: false,
            consumers: None,
        }
    }

    fn texts(queues: &[QueueStatus]) -> Vec<String> {
        let snapshot = Status::default().snapshot();
        let found = reasons(&config(), Life::Working, &snapshot, queues);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_worker_without_due_jobs_names_its_queues_and_what_is_due_later() {
        let mut mail = queue("mail", 0);
        mail.depth.scheduled = Some(3);
        let text = "nothing is due in `mail`, `bulk`; 3 jobs are due later";
        assert_eq!(texts(&[mail, queue("bulk", 0)]), [text]);
        let (mut mail, mut bulk) = (queue("mail", 0), queue("bulk", 0));
        (mail.depth.blocked, bulk.depth.blocked) = (Some(1), Some(2));
        let text = "nothing is due in `mail`, `bulk`; 3 jobs wait for others";
        assert_eq!(texts(&[mail, bulk]), [text]);
    }

    #[test]
    fn a_paused_queue_with_jobs_is_named_with_the_remedy() {
        let paused = QueueStatus { paused: true, ..queue("mail", 4) };
        let [text] = &texts(&[paused])[..] else { panic!("one reason expected") };
        assert!(text.contains("`mail` has 4 due jobs and is paused: `queues resume mail`"));
    }

    #[test]
    fn one_job_is_one_job() {
        let mut later = queue("mail", 0);
        later.depth.scheduled = Some(1);
        assert_eq!(texts(&[later]), ["nothing is due in `mail`, `bulk`; 1 job is due later"]);
        let mut blocked = queue("mail", 0);
        blocked.depth.blocked = Some(1);
        assert_eq!(texts(&[blocked]), ["nothing is due in `mail`, `bulk`; 1 job waits for others"]);
        let [text] = &texts(&[queue("slow", 1)])[..] else { panic!("one reason expected") };
        assert!(text.contains("has 1 due job and"), "{text}");
    }

    #[test]
    fn jobs_of_a_queue_that_nobody_serves_here_are_named() {
        let [text] = &texts(&[queue("slow", 7)])[..] else { panic!("one reason expected") };
        assert!(text.contains("`slow` has 7 due jobs and this worker does not serve it"), "{text}");
    }

    #[test]
    fn a_limit_is_a_reason_only_where_there_is_one() {
        assert_eq!(texts(&[queue("mail", 1)]), Vec::<String>::new());
        let [text] = &texts(&[queue("bulk", 9)])[..] else { panic!("one reason expected") };
        assert!(text.contains("at most 2 of it at once"), "{text}");
    }

    #[test]
    fn a_stopping_worker_is_stopping_whatever_else_holds() {
        let snapshot = Status::default().snapshot();
        assert_eq!(life(&snapshot, true), Life::Stopping);
        assert_eq!(life(&snapshot, false), Life::Starting);
    }

    #[test]
    fn a_worker_whose_fetch_loop_has_ended_is_not_ready_and_says_so() {
        let status = Status::default();
        status.fetch_started();
        assert_eq!(life(&status.snapshot(), false).readiness(), Ok(()));
        status.fetch_ended();
        let reason = life(&status.snapshot(), false).readiness().unwrap_err();
        assert!(reason.contains("fetch loop has ended"), "{reason}");
    }
}
