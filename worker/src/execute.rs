//! The executor: one delivery in, one verdict out.

use std::future::ready;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::{FutureExt, poll};
use jiff::{SignedDuration, Timestamp};
use taskcore::broker::{Delivery, Keep, Verdict};
use taskcore::scope::Scope;
use taskcore::{
    Client, Completing, Completion, Context, ContextParts, Continuation, Continued, Envelope,
    Failure, FailureKind, Frame, OnDemand, Payload, Raised, Registry, RetryPolicy, Run, StateMap,
    TraceParent, Yielded, error_chain, panic_message,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::hand::{Interrupt, Reason};
use crate::inputs;
use crate::readers::Readers;
use crate::report;
use crate::reporter::Desk;
use crate::speech::Speech;
use crate::status::Status;
use crate::watchdog::Watchdog;

/// Runs one delivery at a time for each slot.
///
/// Every path ends in a verdict, or in none where the delivery is no longer this worker's.
pub(crate) struct Executor {
    pub(crate) client: Client,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: StateMap,
    pub(crate) config: Arc<WorkerConfig>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    /// Fires when plain functions that do not stop hold every slot.
    pub(crate) all_stuck: CancellationToken,
    /// Where jobs report; `None` if the store takes no reports.
    pub(crate) desk: Option<Arc<Desk>>,
    pub(crate) readers: Arc<Readers>,
    /// Watches over time-outs where a process is replaced that has a blocked thread.
    pub(crate) watchdog: Option<Arc<Watchdog>>,
    /// How long the broker lets one delivery run.
    pub(crate) longest_run: Option<Duration>,
}

/// How a run ended, before policy turns it into a verdict.
enum Ended {
    Completed(Completion),
    Panicked(String),
    TimedOut(Duration),
    Interrupted(Reason),
}

impl Executor {
    /// Runs one delivery; never panics, whatever the task does.
    ///
    /// The slot is there afterwards, or was given back: by a function that goes on past its verdict when it
    /// returns, and by a job whose verdict waits for the store to have what it said.
    pub(crate) async fn verdict(
        &self,
        delivery: &Delivery,
        interrupt: &Interrupt,
        slot: &mut Option<OwnedSemaphorePermit>,
    ) -> Option<Verdict> {
        let _running = self.status.runs();
        let started = Instant::now();
        // Beyond the task itself, a panic may come from the drop of what it left behind.
        let judged = AssertUnwindSafe(self.judge(delivery, interrupt, slot)).catch_unwind().await;
        let verdict = judged.unwrap_or_else(|panic| {
            let failure = failure_of(delivery, FailureKind::Panic, panic_message(&*panic));
            Some(by_policy(RetryPolicy::default(), failure, None))
        });
        let verdict = verdict.map(Verdict::shortened);
        self.status.ended(verdict.as_ref());
        let label = self.registry.find(&delivery.task).map(|task| task.name);
        report::ended(delivery, label, verdict.as_ref(), started.elapsed());
        verdict
    }

    async fn judge(
        &self,
        delivery: &Delivery,
        interrupt: &Interrupt,
        slot: &mut Option<OwnedSemaphorePermit>,
    ) -> Option<Verdict> {
        let envelope = match Envelope::decode(delivery.envelope.as_slice()) {
            Ok(envelope) => envelope,
            Err(error) => {
                let message = error_chain(&error);
                let failure = failure_of(delivery, FailureKind::Envelope, message);
                return Some(Verdict::Failed { failure });
            }
        };
        let Some(task) = self.registry.find_any(&envelope.task) else {
            // A rolling deploy may be under way: another worker, or this one after its
            // update, may know the task.
            let failure = unknown_task(delivery, &envelope.task);
            return Some(by_policy(RetryPolicy::default(), failure, None));
        };
        let speech = self.desk.as_ref().map(|desk| desk.speech(delivery));
        let context = self.context(delivery, &envelope, interrupt, speech.as_ref());
        let args = match inputs::args(&self.client, delivery, &envelope).await {
            Ok(args) => args,
            Err(verdict) => return Some(verdict),
        };
        let frame = Frame { context: context.clone(), states: self.states.clone() };
        let prepare = || (task.prepare)(&args, frame);
        let ended = match std::panic::catch_unwind(AssertUnwindSafe(prepare)) {
            Err(panic) => Ended::Panicked(panic_message(&*panic)),
            Ok(Err(error)) => {
                let message = format!("the arguments do not fit the task's signature: {error}");
                let failure = Failure::new(&context, FailureKind::Arguments, message);
                return Some(Verdict::Failed { failure });
            }
            Ok(Ok(run)) => {
                let span = report::span(delivery, &context);
                let demand = task.stream.and_then(|options| options.on_demand);
                let demand = demand.filter(|_| !envelope.all_items);
                let timeout = self.timeout(&envelope);
                let _watched = self.watchdog.as_ref().and_then(|it| it.watch(timeout));
                let running = async {
                    let mut expiry = pin!(expiry(timeout));
                    match self.load(run, &context, expiry.as_mut(), interrupt).await {
                        Ok(run) => {
                            let run = self.with_outlet(run, demand, speech.as_ref());
                            self.execute(run, &context, expiry, interrupt, slot).await
                        }
                        Err(ended) => ended,
                    }
                };
                tracing::Instrument::instrument(running, span).await
            }
        };
        if let Some(speech) = &speech {
            let mut flush = pin!(self.flush(speech, &ended));
            if poll!(&mut flush).is_pending() {
                drop(slot.take());
                flush.await;
            }
            if !matches!(ended, Ended::Interrupted(_)) && speech.lacks_items() {
                // It had to stop before the store had them: a verdict would be on half a stream.
                return Some(Verdict::Release);
            }
        }
        self.decide(ended, &context, &envelope)
    }

    fn context(
        &self,
        delivery: &Delivery,
        envelope: &Envelope<'_>,
        interrupt: &Interrupt,
        speech: Option<&Arc<Speech>>,
    ) -> Context {
        let parent = envelope.headers.get(TraceParent::HEADER);
        let parent = parent.and_then(|text| text.parse::<TraceParent>().ok());
        let deadline = self.timeout(envelope).and_then(|timeout| {
            Timestamp::now().checked_add(SignedDuration::try_from(timeout).ok()?).ok()
        });
        Context::new(ContextParts {
            job: delivery.job,
            task: envelope.task.clone().into_owned(),
            attempt: delivery.attempt.get(),
            deadline,
            trace: parent.map_or_else(TraceParent::root, |parent| parent.child()),
            client: Some(self.client.clone()),
            cancelled: interrupt.token.clone(),
            voice: speech.map(|speech| speech.clone() as _),
            completing: Some(Completing {
                receipt: delivery.receipt.clone(),
                keep: envelope.keep(),
                result_limit: self.config.result_limit,
                tried: interrupt.completing.clone(),
            }),
        })
    }

    /// Gives a stream a place for its items, and makes of it a run like any other.
    fn with_outlet(&self, run: Run, demand: Option<OnDemand>, speech: Option<&Arc<Speech>>) -> Run {
        let Run::Stream(run) = run else { return run };
        let Some(speech) = speech else { return Run::Async(Box::pin(ready(Err(no_streams())))) };
        let outlet = speech.outlet(demand, self.config.result_limit);
        let reading = demand.map(|_| self.readers.join(speech.clone()));
        let run = run(Box::new(outlet));
        Run::Async(Box::pin(async move {
            let _reading = reading;
            run.await
        }))
    }

    /// Waits until the store has what the job said: its verdict comes after.
    async fn flush(&self, speech: &Arc<Speech>, ended: &Ended) {
        if let Ended::Interrupted(Reason::Cancelled | Reason::Lost) = ended {
            return;
        }
        tokio::select! {
            biased;
            () = speech.flush() => {}
            () = self.abort.cancelled() => {}
        }
    }

    fn scope(&self, context: &Context) -> Scope {
        Scope {
            client: Some(self.client.clone()),
            states: self.states.clone(),
            context: Some(context.clone()),
        }
    }

    /// Gets the records that a run needs, within the time that it has.
    async fn load(
        &self,
        run: Run,
        context: &Context,
        expiry: Pin<&mut impl Future<Output = Duration>>,
        interrupt: &Interrupt,
    ) -> Result<Run, Ended> {
        let Run::Loading(loading) = run else { return Ok(run) };
        let loading = async {
            match AssertUnwindSafe(self.scope(context).run(loading)).catch_unwind().await {
                Ok(Ok(run)) => Ok(run),
                Ok(Err(raised)) => Err(Ended::Completed(Err(raised))),
                Err(panic) => Err(Ended::Panicked(panic_message(&*panic))),
            }
        };
        self.until(loading, expiry, interrupt).await.unwrap_or_else(Err)
    }

    async fn execute(
        &self,
        run: Run,
        context: &Context,
        expiry: Pin<&mut impl Future<Output = Duration>>,
        interrupt: &Interrupt,
        slot: &mut Option<OwnedSemaphorePermit>,
    ) -> Ended {
        let scope = self.scope(context);
        match run {
            Run::Async(future) => {
                let ended = async {
                    match AssertUnwindSafe(scope.run(future)).catch_unwind().await {
                        Ok(completion) => Ended::Completed(completion),
                        Err(panic) => Ended::Panicked(panic_message(&*panic)),
                    }
                };
                self.until(ended, expiry, interrupt).await.unwrap_or_else(|ended| ended)
            }
            Run::Loading(_) => unreachable!("its records were loaded"),
            Run::Stream(_) => unreachable!("a stream was given its outlet"),
            Run::Plain(function) => {
                self.execute_plain(function, scope, context, expiry, interrupt, slot).await
            }
        }
    }

    async fn execute_plain(
        &self,
        function: Box<dyn FnOnce() -> Completion + Send>,
        scope: Scope,
        context: &Context,
        expiry: Pin<&mut impl Future<Output = Duration>>,
        interrupt: &Interrupt,
        slot: &mut Option<OwnedSemaphorePermit>,
    ) -> Ended {
        let span = tracing::Span::current();
        let taken = slot.take();
        let mut thread = tokio::task::spawn_blocking(move || {
            let _span = span.entered();
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| scope.run_here(function)));
            // With the slot, which is dropped with this answer if nobody waits for it any more.
            (ended, taken)
        });
        let returned = async {
            match (&mut thread).await {
                Ok((ended, taken)) => {
                    *slot = taken;
                    match ended {
                        Ok(completion) => Ended::Completed(completion),
                        Err(panic) => Ended::Panicked(panic_message(&*panic)),
                    }
                }
                // Only a runtime that shuts down drops a function before it ran.
                Err(_) => Ended::Interrupted(Reason::Stopping),
            }
        };
        let ended = self.until(returned, expiry, interrupt).await.unwrap_or_else(|ended| ended);
        if !thread.is_finished() && !matches!(ended, Ended::Completed(_) | Ended::Panicked(_)) {
            self.watch_stuck(thread, context);
        }
        ended
    }

    /// Waits for a part of a run, but not past the run's deadline, nor past an interruption.
    async fn until<T>(
        &self,
        part: impl Future<Output = T>,
        expiry: Pin<&mut impl Future<Output = Duration>>,
        interrupt: &Interrupt,
    ) -> Result<T, Ended> {
        tokio::select! {
            biased;
            done = part => Ok(done),
            timeout = expiry => {
                interrupt.token.cancel();
                Err(Ended::TimedOut(timeout))
            }
            reason = self.interrupted(interrupt) => Err(Ended::Interrupted(reason)),
        }
    }

    /// Waits until a job was told to stop and had its time to do so.
    async fn interrupted(&self, interrupt: &Interrupt) -> Reason {
        interrupt.token.cancelled().await;
        let reason = interrupt.reason().unwrap_or(Reason::Stopping);
        if reason == Reason::Abandoned {
            // It waits for readers, and for nothing else.
            return reason;
        }
        tokio::select! {
            () = self.abort.cancelled() => {}
            () = tokio::time::sleep(self.config.cancel_grace) => {}
        }
        reason
    }

    /// Counts a plain function that goes on after its verdict, until its thread returns.
    fn watch_stuck<T: Send + 'static>(
        &self,
        thread: tokio::task::JoinHandle<T>,
        context: &Context,
    ) {
        let stuck = self.status.stuck().fetch_add(1, Ordering::SeqCst) + 1;
        report::stuck(context, stuck);
        if self.config.ends_when_stuck {
            self.status.end_stuck();
            self.stop.cancel();
        } else if stuck >= self.config.concurrency.get() as usize {
            self.all_stuck.cancel();
        }
        let status = self.status.clone();
        // Owned by the thread it waits for; not tracked, because a stop must not wait for it.
        tokio::spawn(async move {
            let _ = thread.await;
            status.stuck().fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Turns the end of a run into a verdict, by the policy that the job carries.
    fn decide(&self, ended: Ended, context: &Context, envelope: &Envelope<'_>) -> Option<Verdict> {
        let policy = envelope.retry_policy();
        let wish = context.wished_retry();
        let failure = match ended {
            Ended::Completed(Ok(Yielded::Result(result))) => {
                return Some(self.done(result, context, envelope.keep()));
            }
            Ended::Completed(Ok(Yielded::Continued(by))) => {
                return Some(self.continued(by, context, envelope.keep()));
            }
            Ended::Completed(Ok(Yielded::Snoozed(after))) => {
                return Some(Verdict::Snooze { after });
            }
            Ended::Completed(Err(raised)) => Failure::of_raised(context, raised),
            Ended::Panicked(message) => Failure::of_panic(context, message),
            Ended::TimedOut(timeout) => {
                let message = self.timed_out(timeout, envelope);
                Failure::new(context, FailureKind::Timeout, message)
            }
            Ended::Interrupted(Reason::Stopping) => return Some(Verdict::Release),
            Ended::Interrupted(Reason::Abandoned) => return Some(Verdict::Cancelled),
            // The store knows already, and would refuse a verdict.
            Ended::Interrupted(Reason::Cancelled | Reason::Lost) => return None,
        };
        Some(by_policy(policy, failure, wish))
    }

    /// How long this run may take: as the call says, and not longer than the broker lets it.
    fn timeout(&self, envelope: &Envelope<'_>) -> Option<Duration> {
        envelope.timeout().into_iter().chain(self.longest_run).min()
    }

    fn timed_out(&self, timeout: Duration, envelope: &Envelope<'_>) -> String {
        let span = humantime::format_duration(timeout);
        if envelope.timeout() == Some(timeout) {
            return format!("the attempt ran past its time-out of {span}");
        }
        let broker = self.client.connection().map_or("broker", |open| open.broker.name());
        format!(
            "the attempt ran past {span}, which is as long as {broker} lets a job run here: raise \
             the server's limit and tell the URL (docs/rabbitmq.md), or add a result store"
        )
    }

    fn continued(&self, by: Continuation, context: &Context, keep: Keep) -> Verdict {
        match self.client.continuing(by) {
            Ok(Continued { jobs, by }) => Verdict::Continued { jobs, by, keep },
            Err(error) => {
                let message = format!(
                    "the call that the task returned cannot be stored: {}",
                    error_chain(&error)
                );
                Verdict::Failed { failure: Failure::new(context, FailureKind::Result, message) }
            }
        }
    }

    fn done(&self, result: Option<Payload>, context: &Context, keep: Keep) -> Verdict {
        let size = result.as_ref().map_or(0, Payload::len);
        let limit = self.config.result_limit;
        if size <= limit {
            return Verdict::Done { result, keep };
        }
        let message = format!(
            "the result has {size} bytes and the limit is {limit}: store it elsewhere and return a reference"
        );
        Verdict::Failed { failure: Failure::new(context, FailureKind::Result, message) }
    }
}

/// The time-out of a run, once it is over. Its time runs from the first poll.
async fn expiry(timeout: Option<Duration>) -> Duration {
    let Some(timeout) = timeout else { return std::future::pending().await };
    tokio::time::sleep(timeout).await;
    timeout
}

/// Why a stream cannot run here.
fn no_streams() -> Raised {
    let message = "this set-up keeps no streams: add a result store, or return a list".to_owned();
    Raised::of_result(message)
}

/// Retries a failure while its policy and itself allow it.
fn by_policy(policy: RetryPolicy, failure: Failure, wish: Option<Duration>) -> Verdict {
    if failure.permanent {
        return Verdict::Failed { failure };
    }
    match policy.next(failure.attempt, &mut rand::rng()) {
        Some(span) => Verdict::Retry { after: wish.unwrap_or(span), failure },
        None => Verdict::Failed { failure },
    }
}

fn unknown_task(delivery: &Delivery, task: &str) -> Failure {
    let message = format!(
        "no task `{task}` is registered in this worker: deploy a worker that links it, then replay the job"
    );
    failure_of(delivery, FailureKind::UnknownTask, message)
}

/// A failure of a delivery that has no context yet.
fn failure_of(delivery: &Delivery, kind: FailureKind, message: String) -> Failure {
    Failure {
        kind,
        task: delivery.task.clone(),
        job: delivery.job,
        attempt: NonZeroU32::get(delivery.attempt),
        error_type: None,
        message,
        causes: Vec::new(),
        permanent: false,
    }
}
