//! What can go wrong, sorted by who can do something about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::{BrokerError, ConnectError};
use crate::context::Context;
use crate::id::JobId;
use crate::payload::CodecError;
use crate::task::Raised;

/// One failed attempt, as it is stored and sent. Plain data, so it looks the same to every
/// process and language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The task that failed.
    pub task: String,
    /// The job that failed.
    pub job: JobId,
    /// Which attempt, from 1; 0 if the job never ran.
    pub attempt: u32,
    /// The type of the error, as `std::any::type_name` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The error's text.
    pub message: String,
    /// The texts of the errors behind it, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Whether the error itself ruled out a retry: it wraps [`Permanent`], or `retry_if` said no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The task returned an error.
    Error,
    /// The task panicked.
    Panic,
    /// The task ran past its deadline.
    Timeout,
    /// The worker died too often while it ran this job alone.
    Lost,
    /// No worker that tried knows the task.
    UnknownTask,
    /// The arguments do not fit the task's signature, or name a record that is no more.
    Arguments,
    /// The stored bytes are not a job of ours.
    Envelope,
    /// The task's result has no encoded form, is too large, or is a job that needs this one.
    Result,
    /// A job that it needed the result of has none, or the one that it was continued by.
    Input,
}

impl FailureKind {
    /// The word used in SQL, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::UnknownTask => "unknown_task",
            Self::Arguments => "arguments",
            Self::Envelope => "envelope",
            Self::Result => "result",
            Self::Input => "input",
        }
    }
}

impl Failure {
    /// The failure that an error of the running task is.
    #[must_use]
    pub fn of_raised(context: &Context, raised: Raised) -> Self {
        Self {
            kind: raised.kind,
            error_type: Some(raised.error_type.to_owned()),
            causes: raised.causes,
            permanent: raised.permanent,
            ..Self::new(context, FailureKind::Error, raised.message)
        }
    }

    /// The failure that a panic of the running task is.
    #[must_use]
    pub fn of_panic(context: &Context, message: String) -> Self {
        Self::new(context, FailureKind::Panic, message)
    }

    /// The failure of a job whose worker died too often, for brokers that take it back.
    #[must_use]
    pub fn lost(job: JobId, task: String, attempt: u32, recovery_limit: u32) -> Self {
        let deaths = u64::from(recovery_limit) + 1;
        Self {
            kind: FailureKind::Lost,
            task,
            job,
            attempt,
            error_type: None,
            message: format!(
                "its worker died or stalled {deaths} times while it ran this job alone: look for an \
                 abort, a memory limit or a stack overflow in the task, then replay the job"
            ),
            causes: Vec::new(),
            permanent: false,
        }
    }

    /// The failure of a job that never ran because an input has no result, for brokers.
    ///
    /// However long the way from the root cause was, the message is about that one: its task,
    /// job and error.
    #[must_use]
    pub fn of_input(job: JobId, task: String, input: &JobError) -> Self {
        let message = match input.failure() {
            Some(failure) if failure.kind == FailureKind::Input => failure.message.clone(),
            _ => input.to_string(),
        };
        Self {
            kind: FailureKind::Input,
            task,
            job,
            attempt: 0,
            error_type: None,
            message,
            causes: Vec::new(),
            permanent: false,
        }
        .shortened(Self::MAX_TEXT)
    }

    /// The failure of a job whose continuation has no result, for brokers. `attempt` is the one
    /// that it was continued in, from 1.
    #[must_use]
    pub fn of_continuation(job: JobId, task: String, attempt: u32, by: &JobError) -> Self {
        Self { attempt: attempt.max(1), ..Self::of_input(job, task, by) }
    }

    /// The failure of a job that was to be continued by one that needs it, for brokers: each would
    /// wait for the other. `attempt` is the one that ended so, from 1.
    #[must_use]
    pub fn of_cycle(job: JobId, task: String, attempt: u32, by: JobId) -> Self {
        let message = if job == by {
            "the task returned the handle of its own job, which cannot wait for itself".to_owned()
        } else {
            format!(
                "the task returned job {by}, which needs the result of this one: each would wait \
                 for the other"
            )
        };
        Self {
            kind: FailureKind::Result,
            attempt: attempt.max(1),
            message,
            ..Self::of_input(job, task, &JobError::unknown(by))
        }
    }

    /// The longest text that is kept, in bytes; of the causes, of all together.
    pub const MAX_TEXT: usize = 16 * 1024;

    /// The same with texts of at most so many bytes: the message, the causes together, and the type. What
    /// is cut ends in `…`, which comes on top. An error may quote a whole argument.
    #[must_use]
    pub fn shortened(mut self, max: usize) -> Self {
        cut(&mut self.message, max);
        if let Some(error_type) = &mut self.error_type {
            cut(error_type, max);
        }
        let mut left = max;
        self.causes.retain_mut(|cause| {
            let is_shown = left > 0;
            cut(cause, left);
            // One without a text counts as well.
            left = left.saturating_sub(cause.len().max(8));
            is_shown
        });
        self
    }

    /// A failure of the running task.
    #[must_use]
    pub fn new(context: &Context, kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            task: context.task().to_owned(),
            job: context.id(),
            attempt: context.attempt(),
            error_type: None,
            message,
            causes: Vec::new(),
            permanent: false,
        }
    }
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// Why a job has no result.
///
/// It is plain data: it can be cloned, compared, stored, and passed on as an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobError {
    /// The task returned an error, or could not be run at all; see [`Failure::kind`].
    Failed(Box<Failure>),
    /// The task panicked.
    Panicked(Box<Failure>),
    /// The task ran past its deadline.
    TimedOut(Box<Failure>),
    /// The worker died too often while it ran this job.
    Lost(Box<Failure>),
    /// The job was cancelled.
    Cancelled {
        /// The job.
        job: JobId,
        /// Its task.
        task: String,
    },
    /// The job did not start in time.
    Expired {
        /// The job.
        job: JobId,
        /// Its task.
        task: String,
    },
    /// Hereafter is disabled, so the job was never stored.
    Disabled {
        /// The task.
        task: String,
    },
    /// The result is not there: its retention is over, it was never kept, or no job of this
    /// id was ever stored.
    NotKept {
        /// The job.
        job: JobId,
        /// Why, and what to do.
        reason: String,
    },
    /// The result is there, but is no `T`.
    Unreadable {
        /// The job.
        job: JobId,
        /// Its task.
        task: String,
        /// What does not fit.
        reason: String,
    },
    /// An attempt failed midway, and the stream has begun anew: what was read of it is void, and
    /// its items follow from the first one on.
    Restarted {
        /// The job.
        job: JobId,
    },
    /// The caller's time-out passed; the job goes on.
    NotYet {
        /// The job.
        job: JobId,
        /// How long was waited.
        waited: Duration,
    },
    /// The broker did not answer; the job goes on.
    Unreachable {
        /// The job.
        job: JobId,
        /// The broker's errors, outermost first.
        reason: String,
    },
}

impl JobError {
    /// Nothing is known of the job.
    #[must_use]
    pub fn unknown(job: JobId) -> Self {
        let reason = "its retention is over, or no job of this id was ever stored; \
                      `keep_result` sets how long results stay"
            .to_owned();
        Self::NotKept { job, reason }
    }

    /// The caller said that nothing is to be kept.
    pub(crate) fn ignored(job: JobId) -> Self {
        Self::NotKept { job, reason: "the call said `ignore_result`".to_owned() }
    }

    /// The failure of the task, where there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure)
            | Self::Panicked(failure)
            | Self::TimedOut(failure)
            | Self::Lost(failure) => Some(failure),
            _ => None,
        }
    }

    /// Sorts a stored failure.
    #[must_use]
    pub fn from_failure(failure: Failure) -> Self {
        let kind = failure.kind;
        let failure = Box::new(failure);
        match kind {
            FailureKind::Panic => Self::Panicked(failure),
            FailureKind::Timeout => Self::TimedOut(failure),
            FailureKind::Lost => Self::Lost(failure),
            _ => Self::Failed(failure),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write_failure(f, failure, "failed"),
            Self::Panicked(failure) => write_failure(f, failure, "panicked"),
            Self::TimedOut(failure) => write_failure(f, failure, "timed out"),
            Self::Lost(failure) => write_failure(f, failure, "was lost"),
            Self::Cancelled { job, task } => write!(f, "task `{task}` was cancelled (job {job})"),
            Self::Expired { job, task } => {
                write!(f, "task `{task}` did not start in time (job {job})")
            }
            Self::Disabled { task } => {
                write!(f, "task `{task}` was not stored: Hereafter is disabled")
            }
            Self::NotKept { job, reason } => write!(f, "job {job} has no result to read: {reason}"),
            Self::Unreadable { job, task, reason } => {
                write!(f, "cannot read the result of task `{task}` (job {job}): {reason}")
            }
            Self::Restarted { job } => {
                write!(f, "the stream of job {job} has begun anew: what was read of it is void")
            }
            Self::NotYet { job, waited } => write!(
                f,
                "job {job} was not finished after {}",
                humantime::format_duration(*waited)
            ),
            Self::Unreachable { job, reason } => write!(f, "cannot learn of job {job}: {reason}"),
        }
    }
}

impl Error for JobError {}

/// Why a call could not be delayed. Nothing was stored, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DelayError {
    /// There is no client.
    #[error(
        "no client to delay task `{task}` with: call `hereafter::connect(url)` first, set HEREAFTER_URL, \
         or scope one with `client.scope(…)`"
    )]
    NoClient {
        /// The task.
        task: String,
    },
    /// The client that the environment describes could not be had.
    #[error("cannot open the broker that the environment (HEREAFTER_URL, HEREAFTER_RESULTS) names")]
    Connect(#[from] ConnectError),
    /// An argument has no encoded form.
    #[error("cannot encode the arguments of task `{task}`")]
    Encode {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// The job is larger than the limit.
    #[error(
        "a job of task `{task}` has {size} bytes and the limit is {limit}: store the data elsewhere and pass a \
         reference, or raise the client's payload limit"
    )]
    TooLarge {
        /// The task.
        task: String,
        /// The size of the envelope, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// More calls than the broker stores in one step.
    #[error(
        "cannot store {calls} calls in one batch: this broker stores at most {limit} all or none; delay them in \
         several batches"
    )]
    TooMany {
        /// How many calls there are.
        calls: usize,
        /// How many the broker takes at once.
        limit: usize,
    },
    /// Calls lie in one another deeper than the stack allows for.
    #[error(
        "cannot delay task `{task}`: calls are nested {levels} levels deep and the limit is {limit}; delay the inner \
         ones first and pass their handles"
    )]
    TooDeep {
        /// The task.
        task: String,
        /// How many calls lie in one another.
        levels: u32,
        /// The limit.
        limit: u32,
    },
    /// An option of the call is not usable.
    #[error("cannot delay task `{task}`: {reason}")]
    Option {
        /// The task.
        task: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another job holds the unique key of the call.
    #[error(
        "cannot delay task `{task}`: job {existing} holds the unique key `{key}`; wait for that job \
         (`client.handle(id)`), or delay with `.on_conflict(OnConflict::Reuse)` to get a handle of it"
    )]
    Duplicate {
        /// The task.
        task: String,
        /// The key.
        key: String,
        /// The job that holds it.
        existing: JobId,
    },
    /// The broker cannot hold unique keys.
    #[error(
        "cannot delay task `{task}` with a unique key: broker `{broker}` holds none; leave the key out, or use \
         another broker for this task"
    )]
    NoUnique {
        /// The task.
        task: String,
        /// The broker.
        broker: &'static str,
    },
    /// The call takes what other jobs yield, which this set-up does not keep.
    #[error(
        "cannot delay task `{task}`, which takes what other jobs yield: broker `{broker}` keeps no results; add a \
         result store"
    )]
    NoResults {
        /// The task.
        task: String,
        /// The broker.
        broker: &'static str,
    },
    /// A job that goes on as another needs results, which this set-up does not keep.
    #[error(
        "broker `{broker}` keeps no results, so a task cannot return a call; add a result store"
    )]
    NoContinuation {
        /// The broker.
        broker: &'static str,
    },
    /// The broker failed. If [`BrokerError::is_transient`], the job may have been stored: delay
    /// the same job again (same id) rather than a new one where twice would hurt.
    #[error("cannot store a job of task `{task}`")]
    Broker {
        /// The task.
        task: String,
        /// Why. Shared, because one answer may be that of many calls.
        #[source]
        source: std::sync::Arc<BrokerError>,
    },
}

/// An error that no retry will mend. Return it, or wrap it anywhere in an error's chain.
///
/// ```
/// use taskcore::Permanent;
///
/// fn check(address: &str) -> Result<(), Permanent> {
///     if address.contains('@') { Ok(()) } else { Err(Permanent::new("no address")) }
/// }
/// assert!(check("nobody").is_err());
/// ```
#[derive(Debug)]
pub struct Permanent(Box<dyn Error + Send + Sync>);

impl Permanent {
    /// Marks an error, or a text, as permanent.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// Whether `error`, or an error behind it, is a [`Permanent`].
    #[must_use]
    pub fn is_in(error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |&error| error.source()).any(|error| {
            // `source()` of an I/O error passes over the error it was made from.
            let made_from = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            error.is::<Self>() || made_from.is_some_and(|inner| Self::is_in(inner))
        })
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Permanent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The texts of an error and of all behind it, joined by colons.
///
/// A text that the one before it repeats at its end is left out: sqlx, for one, prints its
/// source and returns it too (version 0.9).
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    for source in std::iter::successors(error.source(), |&error| error.source()) {
        let text = source.to_string();
        if !chain.ends_with(&text) {
            chain.push_str(": ");
            chain.push_str(&text);
        }
    }
    chain
}

fn write_failure(f: &mut fmt::Formatter<'_>, failure: &Failure, verb: &str) -> fmt::Result {
    let Failure { task, job, attempt, .. } = failure;
    if failure.kind == FailureKind::Input && *attempt > 0 {
        return write!(
            f,
            "task `{task}` (job {job}, attempt {attempt}) was continued by a job without a result: {failure}"
        );
    }
    if failure.kind == FailureKind::Input {
        return write!(f, "task `{task}` did not run (job {job}), because of an input: {failure}");
    }
    write!(f, "task `{task}` {verb} (job {job}, attempt {attempt}): {failure}")?;
    if failure.permanent { f.write_str(" (permanent: not retried)") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapped(#[source] Permanent);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot ask: {0}")]
    struct Repeats(#[source] io::Error);

    #[test]
    fn a_long_failure_is_cut_between_letters_and_a_short_one_stays_as_it_is() {
        let long = Failure {
            message: "ä".repeat(10),
            causes: vec!["ü".repeat(3), String::new(), "c".repeat(9), "d".to_owned()],
            ..Failure::lost(JobId::new(), "app::task".to_owned(), 1, 3)
        };
        let short = long.clone().shortened(15);
        assert_eq!(short.message, format!("{}…", "ä".repeat(7)));
        // Eight bytes of room for the first, of which it takes six; then seven, and then nothing.
        assert_eq!(short.causes, ["üüü".to_owned(), String::new()]);
        assert_eq!(long.clone().shortened(Failure::MAX_TEXT), long);
        let cut = Failure { causes: vec!["c".repeat(40)], ..long }.shortened(15);
        assert_eq!(cut.causes, ["c".repeat(15) + "…"]);
    }

    #[test]
    fn a_chain_says_everything_once() {
        let wrapped = Wrapped(Permanent::new("no"));
        assert_eq!(error_chain(&wrapped), "wrapped: no");
        let repeats = Repeats(io::Error::other("full"));
        assert_eq!(error_chain(&repeats), "cannot ask: full");
    }

    #[test]
    fn a_permanent_error_is_found_wherever_it_is_wrapped() {
        assert!(Permanent::is_in(&Permanent::new("no")));
        assert!(Permanent::is_in(&Wrapped(Permanent::new("no"))));
        assert!(Permanent::is_in(&io::Error::other(Permanent::new("no"))));
        assert!(Permanent::is_in(&io::Error::other(Wrapped(Permanent::new("no")))));
        assert!(!Permanent::is_in(&io::Error::other("try again")));
    }
}
