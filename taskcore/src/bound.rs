//! [`Bound`]: what a call holds before it runs here, or is stored.

use std::any::Any;
use std::marker::PhantomData;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};

use crate::args::Slots;
use crate::call::Call;
use crate::context::Context;
use crate::error::{Failure, JobError};
use crate::kind::{ArgKinds, Direct, Failing, Place};
use crate::lazy::{self, AnyItems};
use crate::load::Loading;
use crate::options::CallOptions;
use crate::outlet::{Outlet, StreamTaskFn};
use crate::payload::CodecError;
use crate::plan::{ArgsPlan, Plan, Planned};
use crate::scope;
use crate::state::StateMap;
use crate::task::{AsyncTaskFn, Frame, PlainTaskFn, TaskDescriptor, TaskFn};

/// What a call holds before it runs here, or is stored.
pub(crate) trait Bound<R>: Send {
    /// How it would be stored.
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError>;

    /// Runs it here.
    fn start(self: Box<Self>, frame: Frame) -> BoxFuture<'static, R>;

    /// Runs it on this thread. Called only where the types say that it can.
    fn run_in_place(self: Box<Self>, frame: &Frame) -> R;

    /// Whether its task returns a stream.
    fn is_stream(&self) -> bool {
        false
    }

    /// Runs it here item by item. Called only if it [is a stream](Self::is_stream).
    fn open(self: Box<Self>, _: Frame) -> AnyItems {
        unreachable!("no other call is opened")
    }
}

/// What the call around it adds to a plan.
pub(crate) struct Caller<'a> {
    pub(crate) task: &'static TaskDescriptor,
    pub(crate) options: &'a CallOptions,
    pub(crate) states: &'a StateMap,
}

impl Caller<'_> {
    /// The plan of a job with these arguments; `key` is what the task's function makes of them.
    pub(crate) fn plan(&self, args: ArgsPlan, key: impl FnOnce() -> Option<String>) -> Plan {
        let mut options = self.options.clone();
        let unique = options.unique.resolve(&args, key).unwrap_or_else(|reason| {
            options.invalid.get_or_insert(reason);
            None
        });
        Plan { task: self.task, options, unique, states: self.states.clone(), args }
    }
}

/// A task with its arguments.
struct Given<F: TaskFn, Kinds> {
    slots: F::Slots,
    kinds: PhantomData<fn() -> Kinds>,
}

pub(crate) struct BoundAsync<F: TaskFn, Kinds>(Given<F, Kinds>);

pub(crate) struct BoundPlain<F: TaskFn, Kinds>(Given<F, Kinds>);

/// An async task that can also be run item by item.
pub(crate) struct BoundStream<F: TaskFn, Kinds>(BoundAsync<F, Kinds>);

impl<F: AsyncTaskFn, Kinds> BoundAsync<F, Kinds> {
    pub(crate) fn new(slots: F::Slots) -> Self {
        Self(Given { slots, kinds: PhantomData })
    }
}

impl<F: StreamTaskFn + AsyncTaskFn, Kinds> BoundStream<F, Kinds> {
    pub(crate) fn new(slots: F::Slots) -> Self {
        Self(BoundAsync::new(slots))
    }
}

impl<F: PlainTaskFn, Kinds> BoundPlain<F, Kinds> {
    pub(crate) fn new(slots: F::Slots) -> Self {
        Self(Given { slots, kinds: PhantomData })
    }
}

impl<F: TaskFn, Kinds> Given<F, Kinds> {
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        let mut args = ArgsPlan::new();
        self.slots.plan(caller.task.params, &mut args)?;
        let key = || self.slots.lend().and_then(F::unique_key);
        Ok(Planned::Call(Box::new(caller.plan(args, key))))
    }

    /// The arguments, once they are all there, records among them.
    async fn args(self, frame: &Frame) -> Result<F::Ready, JobError> {
        let values =
            if self.slots.are_here() { self.slots.take() } else { self.slots.gather().await };
        let args = values.map(F::args).map_err(|error| no_input(frame, &error))?;
        let ready = F::load(args, frame).had().await;
        ready.map_err(|raised| raised.into_error(&frame.context))
    }
}

impl<F: AsyncTaskFn, Kinds: ArgKinds> Bound<Direct<Kinds, F::Output, F::Return>>
    for BoundAsync<F, Kinds>
{
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        self.0.plan(caller)
    }

    fn start(
        self: Box<Self>,
        frame: Frame,
    ) -> BoxFuture<'static, Direct<Kinds, F::Output, F::Return>> {
        Box::pin(async move {
            let ran = match self.0.args(&frame).await {
                Ok(args) => Ok(F::run(args, frame).await),
                Err(error) => Err(error),
            };
            Kinds::Failing::direct(ran, judge::<F>)
        })
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Direct<Kinds, F::Output, F::Return> {
        unreachable!("the call of an async function is never `InPlace`")
    }
}

impl<F: PlainTaskFn, Kinds: ArgKinds> Bound<Direct<Kinds, F::Output, F::Return>>
    for BoundPlain<F, Kinds>
{
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        self.0.plan(caller)
    }

    fn start(
        self: Box<Self>,
        frame: Frame,
    ) -> BoxFuture<'static, Direct<Kinds, F::Output, F::Return>> {
        Box::pin(async move {
            let ran = match self.0.args(&frame).await {
                Ok(args) => Ok(on_blocking_pool(move || F::run(args, &frame)).await),
                Err(error) => Err(error),
            };
            Kinds::Failing::direct(ran, judge::<F>)
        })
    }

    fn run_in_place(self: Box<Self>, frame: &Frame) -> Direct<Kinds, F::Output, F::Return> {
        let values = self.0.slots.take().map_err(|error| no_input(frame, &error));
        let ran = values.map(|values| match F::load(F::args(values), frame) {
            Loading::Here(args) => F::run(args, frame),
            Loading::Later(_) => unreachable!("a call that loads a record is never `InPlace`"),
        });
        Kinds::Failing::direct(ran, judge::<F>)
    }
}

impl<F: StreamTaskFn + AsyncTaskFn, Kinds: ArgKinds> Bound<Direct<Kinds, F::Output, F::Return>>
    for BoundStream<F, Kinds>
{
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        self.0.plan(caller)
    }

    fn start(
        self: Box<Self>,
        frame: Frame,
    ) -> BoxFuture<'static, Direct<Kinds, F::Output, F::Return>> {
        Box::new(self.0).start(frame)
    }

    fn run_in_place(self: Box<Self>, frame: &Frame) -> Direct<Kinds, F::Output, F::Return> {
        Box::new(self.0).run_in_place(frame)
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, frame: Frame) -> AnyItems {
        let given = self.0.0;
        let items = lazy::items(|outlet: Box<dyn Outlet<F::Item>>| async move {
            let args = given.args(&frame).await?;
            let context = frame.context.clone();
            let ended = F::drive(args, frame, outlet).await;
            ended.map_err(|raised| raised.into_error(&context))
        });
        items.map_ok(|item| Box::new(item) as Box<dyn Any + Send>).boxed()
    }
}

/// A call whose direct run yields a `Result`, whatever it was.
pub(crate) struct Erased<T, R, P>(pub(crate) Call<T, R, P>);

impl<T, R, P> Bound<Result<T, JobError>> for Erased<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        self.0.planned_for(caller)
    }

    fn start(self: Box<Self>, frame: Frame) -> BoxFuture<'static, Result<T, JobError>> {
        Box::pin(self.0.with_states(&frame.states).judged())
    }

    fn run_in_place(self: Box<Self>, frame: &Frame) -> Result<T, JobError> {
        self.0.with_states(&frame.states).judged_in_place()
    }

    fn is_stream(&self) -> bool {
        self.0.is_stream()
    }

    fn open(self: Box<Self>, frame: Frame) -> AnyItems {
        self.0.with_states(&frame.states).open()
    }
}

/// Runs a plain function in the current scope, in place outside of a runtime.
pub(crate) async fn on_blocking_pool<R: Send + 'static>(
    run: impl FnOnce() -> R + Send + 'static,
) -> R {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return run();
    };
    let scope = scope::current();
    match runtime.spawn_blocking(move || scope.run_here(run)).await {
        Ok(returned) => returned,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down; nobody will poll this future again.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The end of a call whose input cannot be had.
pub(crate) fn no_input(frame: &Frame, input: &JobError) -> JobError {
    let (job, task) = (frame.context.id(), frame.context.task().to_owned());
    JobError::from_failure(Failure::of_input(job, task, input))
}

/// Sorts what a function returned, for the call around it.
pub(crate) fn judge<F: TaskFn>(returned: F::Return) -> Result<F::Output, JobError> {
    F::judge(returned).map_err(|raised| raised.into_error(&Context::detached(F::descriptor().name)))
}

/// [`judge`], of what a direct run yielded.
pub(crate) fn judge_direct<F: TaskFn, Kinds: ArgKinds>(
    direct: Direct<Kinds, F::Output, F::Return>,
) -> Result<F::Output, JobError> {
    Kinds::Failing::judged(direct, judge::<F>)
}
