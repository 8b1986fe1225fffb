//! The testing kit: delayed calls without a server, a worker process or a wait.
//!
//! [`run`] (or `#[hereafter::test]`) gives a test its own memory broker; `.delay()` in it
//! stores jobs there. [`drain`] then runs what is due, in this process and through the real
//! engine, with arguments and results in their encoded forms; [`advance`] moves the broker's
//! clock to what is due later.

mod expression;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use taskbroker_memory::MemoryBroker;
use taskcore::broker::{JobFilter, JobRecord};
use taskcore::scope::{self, Scope};
use taskcore::{Call, Client, Clock, QueueName, StateMap};

use crate::config::QueueConfig;
use crate::schedules::Ticker;
use crate::shutdown::Shutdown;
use crate::worker::Worker;
use expression::Expressions;

/// Runs an async test on a runtime of its own, with a memory broker of its own.
///
/// ```
/// use taskworker::testing;
///
/// testing::run(|client| async move {
///     assert_eq!(client.connection().unwrap().broker.name(), "memory");
/// });
/// ```
///
/// # Panics
///
/// If the test does, or if no runtime can be started.
pub fn run<F, Fut>(test: F) -> Fut::Output
where
    F: FnOnce(Client) -> Fut,
    Fut: Future,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a test machine has room for a runtime");
    let answer = catch_unwind(AssertUnwindSafe(|| runtime.block_on(scoped(test))));
    // A plain task that never returns must not hold up the test, nor the report of its failure.
    runtime.shutdown_background();
    answer.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs a future with a memory broker of its own, on the runtime that is there.
pub async fn scoped<F, Fut>(test: F) -> Fut::Output
where
    F: FnOnce(Client) -> Fut,
    Fut: Future,
{
    let clock = Clock::system();
    let client = Client::new(MemoryBroker::with_clock(clock.clone()).connection());
    let mut states = StateMap::default();
    states.insert(TestClock(clock));
    let scope = Scope { client: Some(client.clone()), states, context: None };
    scope.run(test(client)).await
}

/// The clock of the current test's broker.
#[derive(Debug, Clone)]
struct TestClock(Clock);

/// What a [`drain`] did, in deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// They succeeded.
    pub done: u64,
    /// They failed and wait for their next attempt; [`advance`] gets them there.
    pub retried: u64,
    /// They failed for good.
    pub failed: u64,
}

/// Runs all jobs that are due, and those that they delay, until none is left. Schedules whose
/// tick has come make their jobs first.
///
/// `State` comes from the scope ([`scope_state`](taskcore::scope_state)).
///
/// # Panics
///
/// Outside of a test's scope, and if no task is linked.
pub async fn drain() -> Drained {
    let mut drained = Drained { done: 0, retried: 0, failed: 0 };
    loop {
        let served = queues();
        let worker = Worker::builder(client()).for_test(scope::current().states).burst();
        let worker = worker.serve(served.iter().cloned().map(QueueConfig::new)).build();
        let status = worker.status();
        if let Err(error) = worker.run(&Shutdown::new()).await {
            panic!("cannot drain: {}", taskcore::error_chain(&error));
        }
        let ended = status.snapshot();
        drained.done += ended.done;
        drained.retried += ended.retried;
        drained.failed += ended.failed;
        // A job may have delayed another one to a queue that nobody had used before.
        if queues() == served {
            return drained;
        }
    }
}

/// Stores the schedules that the linked tasks declare, as a worker does when it starts. [`drain`]
/// does not, so that a test sees the jobs of what it delayed alone.
///
/// # Panics
///
/// Outside of a test's scope, and if a declaration is wrong.
pub async fn declare_schedules() {
    let client = client();
    let open = client.connection().and_then(|open| open.schedules.clone());
    let ticker =
        Ticker { schedules: open.expect("the memory broker keeps schedules"), broker: "memory" };
    if let Err(error) = ticker.declare(taskcore::registry()).await {
        panic!("cannot store the declared schedules: {}", taskcore::error_chain(&error));
    }
}

/// Moves the clock of the test's broker forward; what becomes due runs at the next [`drain`].
///
/// # Panics
///
/// Outside of a test's scope.
#[track_caller]
pub fn advance(span: Duration) {
    let Some(TestClock(clock)) = scope::current().states.value() else { outside() };
    clock.advance(span);
}

/// Asserts that a job of this task with these arguments is stored, in whatever state.
///
/// Calls among the arguments are compared as well, with theirs in turn; a handle means that job.
/// Options are not compared, nor is what follows the call.
///
/// # Panics
///
/// If there is none; the text lists the jobs of this task that there are.
#[track_caller]
pub fn assert_delayed<T, R, P>(call: &Call<T, R, P>) {
    let Search { found, args, others, more } = search(call);
    if found > 0 {
        return;
    }
    let task = call.task().name;
    let mut text = format!("no job of task `{task}` with arguments {args} was delayed");
    text += if others.is_empty() { "; it has no jobs" } else { "; its jobs have the arguments:" };
    others.iter().for_each(|args| text += &format!("\n  {args}"));
    if more > 0 {
        text += &format!("\n  and {more} more");
    }
    panic!("{text}");
}

/// Asserts that no job of this task with these arguments is stored.
///
/// They are compared as [`assert_delayed`] does.
///
/// # Panics
///
/// If there is one.
#[track_caller]
pub fn refute_delayed<T, R, P>(call: &Call<T, R, P>) {
    let Search { found, args, .. } = search(call);
    if found > 0 {
        let task = call.task().name;
        panic!("{found} job(s) of task `{task}` with arguments {args} were delayed");
    }
}

/// Jobs that the text of a failure lists.
const LISTED: usize = 20;

/// All jobs of the test's broker, oldest first.
///
/// # Panics
///
/// Outside of a test's scope.
#[track_caller]
#[must_use]
pub fn jobs() -> Vec<JobRecord> {
    let client = client();
    let open = client.connection().and_then(|open| open.operate.clone());
    let operate = open.expect("the memory broker lists jobs");
    let listed = operate.jobs(&JobFilter::default()).now_or_never();
    let listed = listed.expect("the memory broker answers at once");
    let mut jobs = listed.expect("the memory broker is open for as long as the test runs");
    jobs.sort_by_key(|job| job.id);
    jobs
}

/// What a search for a call came to.
struct Search {
    /// How many jobs are what the call would be.
    found: usize,
    /// The arguments of the call.
    args: String,
    /// Those of the first other jobs of its task.
    others: Vec<String>,
    /// How many others there are beyond those.
    more: usize,
}

#[track_caller]
fn search<T, R, P>(call: &Call<T, R, P>) -> Search {
    let (wanted, planned) = match client().would_store(call) {
        Ok(Some(planned)) => planned,
        Ok(None) => {
            panic!("this call is the handle of a job that was delayed before: ask the handle")
        }
        Err(error) => panic!("the call cannot be delayed: {}", taskcore::error_chain(&error)),
    };
    let jobs = jobs();
    let (planned, stored) = (Expressions::planned(&planned), Expressions::stored(&jobs));
    let of_task = jobs.iter().filter(|job| job.task == call.task().name);
    let (same, others): (Vec<_>, Vec<_>) =
        of_task.partition(|job| planned.is_found(wanted, &stored, job.id));
    Search {
        found: same.len(),
        args: planned.args_text(wanted, &stored),
        more: others.len().saturating_sub(LISTED),
        others: others.iter().take(LISTED).map(|job| stored.args_text(job.id, &stored)).collect(),
    }
}

/// Every queue that holds a job, so that `.queue("bulk")` needs no set-up in a test.
#[track_caller]
fn queues() -> Vec<QueueName> {
    let mut queues: Vec<_> = jobs().into_iter().map(|job| job.queue).collect();
    queues.push(QueueName::DEFAULT);
    queues.sort();
    queues.dedup();
    queues
}

#[track_caller]
fn client() -> Client {
    if scope::current().states.value::<TestClock>().is_none() {
        outside();
    }
    Client::current().unwrap_or_else(|| outside())
}

#[track_caller]
fn outside() -> ! {
    panic!("no test client here: use `#[hereafter::test]`, or `hereafter::testing::run`")
}
