//! Options of a task and of one call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::id::JobId;
use crate::plan::Planned;
use crate::queue::{Priority, QueueName};
use crate::retry::Backoff;

/// What the attribute on a task says; the base that a call's own options change.
#[derive(Debug, Clone, Copy)]
pub struct TaskOptions {
    /// The queue, checked by the attribute.
    pub queue: &'static str,
    /// Attempts after the first one.
    pub retries: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// How long one attempt may run; `None` is no limit.
    pub timeout: Option<Duration>,
    /// From -2 to 2, checked by the attribute.
    pub priority: i8,
    /// It ends as expired if it did not start within this span.
    pub expires_in: Option<Duration>,
    /// How long the outcome of a job that is done is kept.
    pub keep_result: Duration,
    /// Keep nothing of a job that is done.
    pub ignore_result: bool,
}

impl TaskOptions {
    /// How long results are kept where nothing else is said: 1 h.
    pub const KEEP_RESULT: Duration = Duration::from_secs(60 * 60);

    /// The options of a task that names none.
    pub const DEFAULT: Self = Self {
        queue: "default",
        retries: crate::retry::RetryPolicy::DEFAULT_RETRIES,
        backoff: Backoff::DEFAULT,
        timeout: None,
        priority: 0,
        expires_in: None,
        keep_result: Self::KEEP_RESULT,
        ignore_result: false,
    };
}

/// The options of one call: the task's, changed by the call's setters.
#[derive(Debug, Clone)]
pub(crate) struct CallOptions {
    pub(crate) queue: QueueName,
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: Priority,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) keep_result: Duration,
    pub(crate) ignore_result: bool,
    pub(crate) headers: BTreeMap<String, String>,
    /// The id of the job, where something refers to it before it is stored.
    pub(crate) id: Option<JobId>,
    /// Calls that follow the job, stored with it.
    pub(crate) follow_ups: Vec<Arc<Planned>>,
    /// The first setter that was given something unusable; `.delay()` reports it.
    pub(crate) invalid: Option<String>,
}

impl CallOptions {
    pub(crate) fn of_task(task: &TaskOptions) -> Self {
        Self {
            queue: QueueName::from_static(task.queue),
            retries: task.retries,
            backoff: task.backoff,
            timeout: task.timeout,
            priority: Priority::new(task.priority).unwrap_or_default(),
            expires_in: task.expires_in,
            keep_result: task.keep_result,
            ignore_result: task.ignore_result,
            headers: BTreeMap::new(),
            id: None,
            follow_ups: Vec::new(),
            invalid: None,
        }
    }
}
