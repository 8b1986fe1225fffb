//! Eager mode: `.delay()` runs the call here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Client;
use super::graph::{Graph, Made, Root};
use crate::broker::{Due, JobState, Lookup, NewJob, Outcome};
use crate::context::{Context, ContextParts};
use crate::continuation::Continuation;
use crate::envelope::Envelope;
use crate::error::{DelayError, Failure, FailureKind, JobError};
use crate::handle::HandleSource;
use crate::id::JobId;
use crate::outlet::Collector;
use crate::panic::panic_message;
use crate::payload::Payload;
use crate::scope::{self, Scope};
use crate::source::NoArgument;
use crate::task::{Completion, Frame, Raised, Run, Yielded};
use crate::trace::TraceParent;

/// Runs the jobs of an expression as a worker would, each after its inputs, arguments and
/// results through their encoded forms; gives the outcome of the one at `root`.
pub(super) async fn run(
    client: &Client,
    graph: Graph<'_>,
    root: &Made,
    due: Due,
) -> Result<Outcome, DelayError> {
    if due != Due::Now {
        tracing::info!(target: "hereafter", task = root.task, "eager mode ignores the delay");
    }
    match run_all(client, graph).await?.remove(&root.id) {
        Some(Lookup::Final(outcome)) => Ok(*outcome),
        _ => unreachable!("the root of an expression is one of its jobs"),
    }
}

/// Runs all jobs of a graph, each after its inputs, and what continues them.
pub(super) async fn run_all(
    client: &Client,
    graph: Graph<'_>,
) -> Result<HashMap<JobId, Lookup>, DelayError> {
    // A stack of our own: a recursion of jobs may be deeper than that of the thread.
    let mut levels = vec![Level::new(graph, None)];
    while let Some(level) = levels.last_mut() {
        if let Some((made, job)) = level.runs.next() {
            level.find_inputs(client, &job).await;
            match run_one(client, &made, &job, &level.found).await? {
                Ran::Ended(outcome) => level.add(*outcome),
                Ran::Continued(context, by) => levels.push(Level::of(client, context, by)?),
            }
            continue;
        }
        let Some(Level { found, continues, .. }) = levels.pop() else { break };
        match (continues, levels.last_mut()) {
            (Some(continued), Some(level)) => level.add(continued.end(client, found).await),
            _ => return Ok(found),
        }
    }
    unreachable!("the lowest level answers")
}

/// The jobs of one expression.
struct Level {
    /// Those that are left.
    runs: std::vec::IntoIter<(Made, NewJob)>,
    /// How the others ended, and what they needed.
    found: HashMap<JobId, Lookup>,
    /// The job that the expression continues.
    continues: Option<Continued>,
}

/// A job that ends as another one.
struct Continued {
    context: Context,
    by: JobId,
    /// Set if it was made of a handle.
    handle: Option<HandleSource>,
}

/// How far a job got.
enum Ran {
    Ended(Box<Outcome>),
    Continued(Context, Continuation),
}

impl Level {
    fn new(graph: Graph<'_>, continues: Option<Continued>) -> Self {
        let runs: Vec<_> = graph.into_runs().collect();
        Self { runs: runs.into_iter(), found: HashMap::new(), continues }
    }

    /// What continues the job of a context.
    fn of(client: &Client, context: Context, by: Continuation) -> Result<Self, DelayError> {
        let mut graph = Graph::new(client);
        let (by, handle) = match by.0 {
            Root::Plan(plan) => (graph.add(&plan, Due::Now)?.id, None),
            Root::Job(job, handle, options) => {
                graph.follow(&options, context.trace())?;
                (job, Some(handle))
            }
        };
        Ok(Self::new(graph, Some(Continued { context, by, handle })))
    }

    /// Those of this expression ran before; the others are jobs of some store.
    async fn find_inputs(&mut self, client: &Client, job: &NewJob) {
        for input in &job.inputs {
            if let Entry::Vacant(unknown) = self.found.entry(input.job) {
                let lookup = client.wait_for(input.job).await.unwrap_or(Lookup::Unknown);
                unknown.insert(lookup);
            }
        }
    }

    fn add(&mut self, outcome: Outcome) {
        self.found.insert(outcome.job, Lookup::Final(Box::new(outcome)));
    }
}

impl Continued {
    /// The end of the job, once all that continues it has run.
    async fn end(self, client: &Client, mut found: HashMap<JobId, Lookup>) -> Outcome {
        let Self { context, by, handle } = self;
        let lookup = match (found.remove(&by), handle) {
            (Some(lookup), _) => lookup,
            (None, Some(HandleSource::Known(lookup))) => *lookup,
            (None, _) => client.wait_for(by).await.unwrap_or(Lookup::Unknown),
        };
        let ended = match lookup {
            Lookup::Final(outcome) => match outcome.error() {
                None => Ok(outcome.result),
                Some(error) => Err(error),
            },
            _ => Err(JobError::unknown(by)),
        };
        let failed = |error| {
            let task = context.task().to_owned();
            Failure::of_continuation(context.id(), task, context.attempt(), &error)
        };
        outcome_of(&context, ended.map_err(failed))
    }
}

async fn run_one(
    client: &Client,
    made: &Made,
    job: &NewJob,
    found: &HashMap<JobId, Lookup>,
) -> Result<Ran, DelayError> {
    let task = made.descriptor;
    let envelope = Envelope::decode(job.envelope.as_slice()).map_err(|error| {
        DelayError::Option { task: task.name.to_owned(), reason: error.to_string() }
    })?;
    let context = context(client, made, envelope.timeout());
    let args = match envelope.full_args(found) {
        Ok(args) => args,
        Err(NoArgument::Failed(error)) => {
            let failure = Failure::of_input(made.id, task.name.to_owned(), &error);
            return Ok(Ran::of(&context, Err(failure)));
        }
        Err(NoArgument::NoFailure(_)) => {
            let nothing = outcome_of(&context, Ok(None));
            return Ok(Ran::Ended(Box::new(Outcome { state: JobState::Cancelled, ..nothing })));
        }
    };
    let mut scope = scope::current();
    scope.client = Some(client.clone());
    scope.context = Some(context.clone());
    let frame = Frame { context: context.clone(), states: made.states.clone() };
    let prepare = || (task.prepare)(args.as_slice(), frame);
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
    let ended = match ended {
        Ended::Returned(Ok(Yielded::Continued(by))) => return Ok(Ran::Continued(context, by)),
        Ended::Returned(Ok(Yielded::Result(result))) => Ok(result),
        Ended::Returned(Ok(Yielded::Snoozed(_))) => {
            unreachable!("only what waits for stored jobs snoozes")
        }
        Ended::Returned(Err(raised)) => Err(Failure::of_raised(&context, raised)),
        Ended::Panicked(message) => Err(Failure::of_panic(&context, message)),
        Ended::TimedOut(timeout) => {
            let timeout = humantime::format_duration(timeout);
            let message = format!("the attempt ran past its time-out of {timeout}");
            Err(Failure::new(&context, FailureKind::Timeout, message))
        }
    };
    Ok(Ran::of(&context, ended))
}

impl Ran {
    fn of(context: &Context, ended: Result<Option<Payload>, Failure>) -> Self {
        Self::Ended(Box::new(outcome_of(context, ended)))
    }
}

fn context(client: &Client, made: &Made, timeout: Option<Duration>) -> Context {
    let deadline = timeout.and_then(|timeout| {
        Timestamp::now().checked_add(SignedDuration::try_from(timeout).ok()?).ok()
    });
    Context::new(ContextParts {
        job: made.id,
        task: made.task.to_owned(),
        attempt: 1,
        deadline,
        trace: TraceParent::root(),
        client: Some(client.clone()),
        cancelled: CancellationToken::new(),
        voice: None,
        completing: None,
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
    let run = match run {
        Run::Loading(run) => match AssertUnwindSafe(scope.clone().run(run)).catch_unwind().await {
            Ok(Ok(run)) => run,
            Ok(Err(raised)) => return Ended::Returned(Err(raised)),
            Err(panic) => return Ended::Panicked(panic_message(&*panic)),
        },
        run => run,
    };
    let ended = match run {
        Run::Async(future) => AssertUnwindSafe(scope.run(future)).catch_unwind().await,
        Run::Stream(run) => {
            let items = Collector::default();
            let run = run(Box::new(items.clone()));
            let ended = AssertUnwindSafe(scope.run(run)).catch_unwind().await;
            // Nobody reads items one by one here, so the result is the list itself.
            ended.map(|completion| completion.map(|_| Yielded::Result(Some(items.array()))))
        }
        Run::Loading(_) => unreachable!("records are loaded once"),
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

fn outcome_of(context: &Context, ended: Result<Option<Payload>, Failure>) -> Outcome {
    let state = if ended.is_ok() { JobState::Done } else { JobState::Failed };
    let (result, failure) = match ended {
        Ok(result) => (result, None),
        Err(failure) => (None, Some(failure)),
    };
    Outcome {
        job: context.id(),
        task: context.task().to_owned(),
        state,
        result,
        failure,
        finished_at: Timestamp::now(),
    }
}
