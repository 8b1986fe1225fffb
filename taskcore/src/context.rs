//! [`Context`]: what a running task knows of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::completing::Completing;
use crate::id::JobId;
use crate::scope;
use crate::trace::TraceParent;
use crate::voice::Voice;

/// What a running task knows of itself. Cheap to clone.
///
/// A parameter of this type is filled in where the task runs. In a direct call it is a
/// detached one: a new id, attempt 1, no deadline, never cancelled.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    job: JobId,
    task: String,
    attempt: u32,
    deadline: Option<Timestamp>,
    trace: TraceParent,
    client: Option<Client>,
    cancelled: CancellationToken,
    voice: Option<Arc<dyn Voice>>,
    completing: Option<Completing>,
    /// What `retry_after` was given, in ms; `NO_WISH` if it was not called.
    retry_after_ms: AtomicU64,
}

const NO_WISH: u64 = u64::MAX;

/// The parts of a [`Context`], filled in by whoever runs a task.
#[derive(Debug)]
pub struct ContextParts {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub task: String,
    /// From 1.
    pub attempt: u32,
    /// When the attempt ends as timed out, on this machine's clock.
    pub deadline: Option<Timestamp>,
    /// The span of this attempt.
    pub trace: TraceParent,
    /// The client that stored jobs of this task should go through.
    pub client: Option<Client>,
    /// Fires when the task should stop.
    pub cancelled: CancellationToken,
    /// Takes what the task says; `None` if nobody listens.
    pub voice: Option<Arc<dyn Voice>>,
    /// What ends the delivery elsewhere; `None` if there is no delivery.
    pub completing: Option<Completing>,
}

impl Context {
    /// Assembles a context; for whoever runs tasks.
    #[must_use]
    pub fn new(parts: ContextParts) -> Self {
        let ContextParts {
            job,
            task,
            attempt,
            deadline,
            trace,
            client,
            cancelled,
            voice,
            completing,
        } = parts;
        let retry_after_ms = AtomicU64::new(NO_WISH);
        let shared = Shared {
            job,
            task,
            attempt,
            deadline,
            trace,
            client,
            cancelled,
            voice,
            completing,
            retry_after_ms,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The context of a direct call.
    pub(crate) fn detached(task: &str) -> Self {
        Self::new(ContextParts {
            job: JobId::new(),
            task: task.to_owned(),
            attempt: 1,
            deadline: None,
            trace: scope::context()
                .map_or_else(TraceParent::root, |context| context.trace().child()),
            client: scope::client(),
            cancelled: CancellationToken::new(),
            voice: None,
            completing: None,
        })
    }

    /// The job that runs in the current Tokio task or plain function, without a parameter.
    #[must_use]
    pub fn current() -> Option<Self> {
        scope::context()
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.shared.job
    }

    /// The task's name.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.shared.task
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.shared.attempt
    }

    /// When this attempt ends as timed out, if its task has a time-out.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.shared.deadline
    }

    /// The W3C trace context of this attempt, to pass on to what it calls.
    #[must_use]
    pub fn trace(&self) -> TraceParent {
        self.shared.trace
    }

    /// The client that this job came through; `None` in a direct call outside of any scope.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.shared.client.as_ref()
    }

    /// What ends this delivery elsewhere than through the worker; `None` in a direct call. For
    /// broker crates.
    #[must_use]
    pub fn completing(&self) -> Option<&Completing> {
        self.shared.completing.as_ref()
    }

    /// Whether the task should stop: cancelled, timed out, lease lost or worker stopping.
    ///
    /// For plain functions, which cannot be stopped from outside: ask in the loop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.is_cancelled()
    }

    /// Waits until the task should stop. Cancel-safe.
    pub async fn cancelled(&self) {
        self.shared.cancelled.cancelled().await;
    }

    /// The token behind [`is_cancelled`](Self::is_cancelled), for libraries that take one.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.shared.cancelled
    }

    /// Says how far the task is: `done` of `total`, in whatever unit it counts; a total of 0 is
    /// unknown. Handles show it by [`progress`](crate::Handle::progress).
    ///
    /// Cheap enough for a tight loop: what is said between two writes, of which there are a few
    /// a second, is not stored. In a direct call nobody listens.
    pub fn progress(&self, done: u64, total: u64) {
        if let Some(voice) = &self.shared.voice {
            voice.clone().progress(done, total);
        }
    }

    /// Says what the task is at, beside how far: [`Progress::message`](crate::broker::Progress).
    pub fn message(&self, text: impl Into<String>) {
        if let Some(voice) = &self.shared.voice {
            voice.clone().message(text.into());
        }
    }

    /// Adds a line to the job's log, which handles read by [`log`](crate::Handle::log).
    ///
    /// Also a `tracing` event. Each delivery may write 1,000 lines; what comes after is counted.
    pub fn log(&self, line: impl Into<String>) {
        let line = line.into();
        tracing::info!(target: "hereafter::log", job = %self.shared.job, task = self.shared.task, "{line}");
        if let Some(voice) = &self.shared.voice {
            voice.clone().log(line);
        }
    }

    /// If this attempt fails, waits this long before the next one instead of the back-off.
    ///
    /// The number of attempts stays as it is.
    pub fn retry_after(&self, wait: Duration) {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(NO_WISH - 1).min(NO_WISH - 1);
        self.shared.retry_after_ms.store(ms, Ordering::SeqCst);
    }

    /// What [`retry_after`](Self::retry_after) was given last.
    #[must_use]
    pub fn wished_retry(&self) -> Option<Duration> {
        match self.shared.retry_after_ms.load(Ordering::SeqCst) {
            NO_WISH => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }
}
