//! Eager mode: `.delay()` runs the call here.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Client;
use crate::broker::{Due, JobState, Outcome};
use crate::context::{Context, ContextParts};
use crate::envelope::Envelope;
use crate::error::{DelayError, Failure, FailureKind};
use crate::handle::Handle;
use crate::id::JobId;
use crate::panic::panic_message;
use crate::payload::Payload;
use crate::scope::{self, Scope};
use crate::state::StateMap;
use crate::task::{Completion, Frame, Raised, Run, TaskDescriptor};
use crate::trace::TraceParent;

/// A call in its stored form, with what is not stored.
///
/// Not the call itself, which is `Send` but not `Sync`.
pub(super) struct EagerCall {
    pub(super) task: &'static TaskDescriptor,
    pub(super) envelope: Payload,
    /// What the call was given by `with`.
    pub(super) states: StateMap,
    pub(super) due: Due,
}

/// Runs a call as a worker would, arguments and result through their encoded forms, and gives
/// its finished handle.
pub(super) async fn run<T>(client: &Client, call: EagerCall) -> Result<Handle<T>, DelayError> {
    let EagerCall { task, envelope, states, due } = call;
    if due != Due::Now {
        tracing::info!(target: "hereafter", task = task.name, "eager mode ignores the delay");
    }
    let envelope = Envelope::decode(envelope.as_slice()).map_err(|error| DelayError::Option {
        task: task.name.to_owned(),
        reason: error.to_string(),
    })?;
    let context = context(client, task, envelope.timeout());
    let mut scope = scope::current();
    scope.client = Some(client.clone());
    scope.context = Some(context.clone());
    let frame = Frame { context: context.clone(), states };
    let prepare = || (task.prepare)(envelope.args.get().as_bytes(), frame);
    let ended = match catch_unwind(AssertUnwindSafe(prepare)) {
        Ok(Ok(run)) => within(envelope.timeout(), &context, finish(run, scope)).await,
        Ok(Err(error)) => Ended::Returned(Err(Raised {
            kind: FailureKind::Arguments,
            error_type: std::any::type_name_of_val(&error),
            message: "the arguments do not survive their encoded form".to_owned(),
            causes: vec![error.to_string()],
            permanent: true,
        })),
        Err(panic) => Ended::Panicked(panic_message(&*panic)),
    };
    Ok(Handle::known(outcome(&context, ended)))
}

fn context(client: &Client, task: &TaskDescriptor, timeout: Option<Duration>) -> Context {
    let deadline = timeout.and_then(|timeout| {
        Timestamp::now().checked_add(SignedDuration::try_from(timeout).ok()?).ok()
    });
    Context::new(ContextParts {
        job: JobId::new(),
        task: task.name.to_owned(),
        attempt: 1,
        deadline,
        trace: TraceParent::root(),
        client: Some(client.clone()),
        cancelled: CancellationToken::new(),
    })
}

/// How a run ended.
enum Ended {
    Returned(Completion),
    Panicked(String),
    TimedOut(Duration),
}

/// Runs an async task here, and a plain one on the blocking pool (in place outside of a
/// runtime), as a worker and an awaited call do.
async fn finish(run: Run, scope: Scope) -> Ended {
    let ended = match run {
        Run::Async(future) => AssertUnwindSafe(scope.run(future)).catch_unwind().await,
        Run::Plain(function) => {
            let function = move || catch_unwind(AssertUnwindSafe(|| scope.run_here(function)));
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => match runtime.spawn_blocking(function).await {
                    Ok(ended) => ended,
                    // The runtime shuts down; nobody will poll this future again.
                    Err(_) => std::future::pending().await,
                },
                Err(_) => function(),
            }
        }
    };
    match ended {
        Ok(completion) => Ended::Returned(completion),
        Err(panic) => Ended::Panicked(panic_message(&*panic)),
    }
}

/// Waits for a run, but not past its time-out. A plain function is told by its context then,
/// and its thread goes on until it returns, as in a worker. Outside of a runtime nothing
/// measures time.
async fn within(
    timeout: Option<Duration>,
    context: &Context,
    run: impl Future<Output = Ended>,
) -> Ended {
    let timeout = timeout.filter(|_| tokio::runtime::Handle::try_current().is_ok());
    let Some(timeout) = timeout else { return run.await };
    tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| {
        context.cancellation().cancel();
        Ended::TimedOut(timeout)
    })
}

fn outcome(context: &Context, ended: Ended) -> Outcome {
    let (result, failure) = match ended {
        Ended::Returned(Ok(result)) => (result, None),
        Ended::Returned(Err(raised)) => (None, Some(Failure::of_raised(context, raised))),
        Ended::Panicked(message) => (None, Some(Failure::of_panic(context, message))),
        Ended::TimedOut(timeout) => {
            let timeout = humantime::format_duration(timeout);
            let message = format!("the attempt ran past its time-out of {timeout}");
            (None, Some(Failure::new(context, FailureKind::Timeout, message)))
        }
    };
    Outcome {
        job: context.id(),
        task: context.task().to_owned(),
        state: if failure.is_none() { JobState::Done } else { JobState::Failed },
        result,
        failure,
        finished_at: Timestamp::now(),
    }
}
