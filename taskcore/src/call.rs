//! [`Call`]: a task bound to arguments.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::args::Slots;
use crate::bound::{Bound, BoundAsync, BoundPlain, BoundStream, Caller, Erased, judge_direct};
use crate::broker::{Due, OnConflict, UniqueScope};
use crate::client::Client;
use crate::context::Context;
use crate::each::each;
use crate::error::{DelayError, JobError};
use crate::handle::{Handle, HandleSource};
use crate::id::JobId;
use crate::kind::{ArgKinds, Awaited, Direct, InPlace, Place, PlaceOf};
use crate::lazy::AnyItems;
use crate::options::CallOptions;
use crate::outlet::StreamTaskFn;
use crate::payload::{CodecError, Payload};
use crate::plan::{ArgsPlan, Planned};
use crate::queue::{Priority, QueueName};
use crate::reader::ItemStream;
use crate::retry::Backoff;
use crate::state::StateMap;
use crate::task::{AsyncTaskFn, Frame, PlainTaskFn, TaskDescriptor, TaskFn};

/// A task bound to arguments, not sent anywhere yet.
///
/// `T` is what a [`Handle`] of it yields, `R` what running it here yields, `P` where it can
/// run here: [`InPlace`] has [`call`](Self::call). `Call<T>` is any of them, [erased](Self::erase).
///
/// It is a future that runs the task here, with no broker and no serialisation: an async
/// function as it is, a plain one on Tokio's blocking pool (in place outside of a runtime).
/// [`delay`](Self::delay) stores it as a job instead. Nothing happens until one of them is
/// used.
///
/// # Panics
///
/// Run here, a task whose `State` nobody provides panics with the remedy. A panic of the task
/// is passed on.
#[must_use = "a task call does nothing until it is awaited, called or delayed"]
pub struct Call<T, R = Result<T, JobError>, P = Awaited> {
    inner: Box<Inner<T, R>>,
    /// Owns no `P`, so the call is `Send` and `Unpin` whatever it is.
    marker: PhantomData<fn() -> P>,
}

struct Inner<T, R> {
    task: &'static TaskDescriptor,
    run: RunHere<R>,
    /// How many calls lie in one another, this one counted.
    nesting: u32,
    /// Sorts what a direct run yields, for a call around this one.
    judge: fn(R) -> Result<T, JobError>,
    states: StateMap,
    options: CallOptions,
}

enum RunHere<R> {
    Bound(Box<dyn Bound<R>>),
    Running(BoxFuture<'static, R>),
    Over,
}

/// The call of a task, whose arguments are of these kinds.
type TaskCall<F, Kinds, P> =
    Call<<F as TaskFn>::Output, Direct<Kinds, <F as TaskFn>::Output, <F as TaskFn>::Return>, P>;

/// Binds an async task; for generated code.
#[doc(hidden)]
pub fn bind_async<F: AsyncTaskFn, Kinds: ArgKinds>(slots: F::Slots) -> TaskCall<F, Kinds, Awaited> {
    let nesting = slots.depth() + 1;
    let bound = Box::new(BoundAsync::<F, Kinds>::new(slots));
    Call::bind(F::descriptor(), nesting, bound, judge_direct::<F, Kinds>)
}

/// Binds a task that returns a stream; for generated code.
#[doc(hidden)]
pub fn bind_stream<F: StreamTaskFn + AsyncTaskFn, Kinds: ArgKinds>(
    slots: F::Slots,
) -> TaskCall<F, Kinds, Awaited> {
    let nesting = slots.depth() + 1;
    let bound = Box::new(BoundStream::<F, Kinds>::new(slots));
    Call::bind(F::descriptor(), nesting, bound, judge_direct::<F, Kinds>)
}

/// Binds a plain task; for generated code.
#[doc(hidden)]
pub fn bind_plain<F: PlainTaskFn, Kinds: ArgKinds>(
    slots: F::Slots,
) -> TaskCall<F, Kinds, PlaceOf<Kinds>> {
    let nesting = slots.depth() + 1;
    let bound = Box::new(BoundPlain::<F, Kinds>::new(slots));
    Call::bind(F::descriptor(), nesting, bound, judge_direct::<F, Kinds>)
}

impl<T, R, P> Call<T, R, P> {
    pub(crate) fn bind(
        task: &'static TaskDescriptor,
        nesting: u32,
        bound: Box<dyn Bound<R>>,
        judge: fn(R) -> Result<T, JobError>,
    ) -> Self {
        let inner = Inner {
            task,
            run: RunHere::Bound(bound),
            nesting,
            judge,
            states: StateMap::default(),
            options: CallOptions::of_task(&task.options),
        };
        Self { inner: Box::new(inner), marker: PhantomData }
    }

    /// The task that would run.
    #[must_use]
    pub fn task(&self) -> &'static TaskDescriptor {
        self.inner.task
    }

    /// The arguments that are values, as a job would carry them: one JSON object, keyed by
    /// parameter name. Those that other calls yield are not in it.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if one has no JSON form.
    ///
    /// # Panics
    ///
    /// If the call was polled already.
    pub fn encoded_args(&self) -> Result<Payload, CodecError> {
        match self.planned()? {
            Planned::Call(plan) => Ok(plan.args.given()),
            _ => Ok(ArgsPlan::new().given()),
        }
    }

    /// What it adds to the plan of its arguments.
    pub(crate) fn caller(&self) -> Caller<'_> {
        let Inner { task, options, states, .. } = &*self.inner;
        Caller { task, options, states }
    }

    /// How many calls lie in one another, this one counted.
    pub(crate) fn nesting(&self) -> u32 {
        self.inner.nesting
    }

    /// How the call would be stored.
    pub(crate) fn planned(&self) -> Result<Planned, CodecError> {
        self.planned_for(&self.caller())
    }

    /// How it would be stored with the options of a call around it.
    pub(crate) fn planned_for(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        match &self.inner.run {
            RunHere::Bound(bound) => bound.plan(caller),
            _ => panic!("a call that was awaited has given its arguments away"),
        }
    }

    /// The same call, with the state of a call around it.
    pub(crate) fn with_states(mut self, states: &StateMap) -> Self {
        self.inner.states.extend(states);
        self
    }

    /// Runs it here, and sorts what it yields.
    pub(crate) async fn judged(self) -> Result<T, JobError> {
        let judge = self.inner.judge;
        judge(self.await)
    }

    /// Runs it on this thread, and sorts what it yields.
    pub(crate) fn judged_in_place(mut self) -> Result<T, JobError> {
        let judge = self.inner.judge;
        judge(self.run_in_place())
    }

    fn run_in_place(&mut self) -> R {
        let Some((bound, frame)) = self.take_bound() else {
            panic!("a call that was awaited has given its arguments away");
        };
        bound.run_in_place(&frame)
    }

    /// Provides a value for a `State<V>` parameter of this call, run here: awaited, called, or
    /// delayed by an eager client. It is not part of a job.
    pub fn with<V: Clone + Send + Sync + 'static>(mut self, value: V) -> Self {
        self.inner.states.insert(value);
        self
    }

    /// Sends the job to another queue than its task's. A name that cannot name a queue is
    /// reported by `.delay()`.
    pub fn queue<Q>(mut self, queue: Q) -> Self
    where
        Q: TryInto<QueueName>,
        Q::Error: fmt::Display,
    {
        match queue.try_into() {
            Ok(queue) => self.inner.options.queue = queue,
            Err(error) => self.refuse(&error),
        }
        self
    }

    /// From -2 (last) to 2 (first) within the queue. A number outside is reported by
    /// `.delay()`.
    pub fn priority(mut self, priority: i8) -> Self {
        match Priority::new(priority) {
            Ok(priority) => self.inner.options.priority = priority,
            Err(error) => self.refuse(&error),
        }
        self
    }

    /// Attempts after the first one.
    pub fn retries(mut self, retries: u32) -> Self {
        self.inner.options.retries = retries;
        self
    }

    /// The wait between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.inner.options.backoff = backoff;
        self
    }

    /// How long one attempt may run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.inner.options.timeout = Some(timeout);
        self
    }

    /// Ends the job as expired if it did not start within this span.
    ///
    /// A worker may start it up to a second late. A job that a stopping worker gave back counts
    /// as not started.
    pub fn expires_in(mut self, span: Duration) -> Self {
        self.inner.options.expires_in = Some(span);
        self
    }

    /// How long the outcome of the job is kept once it is done.
    pub fn keep_result(mut self, span: Duration) -> Self {
        self.inner.options.keep_result = span;
        self.inner.options.ignore_result = false;
        self
    }

    /// Keeps nothing of the job once it is done; its handle says so.
    pub fn ignore_result(mut self) -> Self {
        self.inner.options.ignore_result = true;
        self
    }

    /// At most one job of this task holds the key at a time: while another one does, this call
    /// is not stored. A key has 1 to 255 bytes; another one is reported by `.delay()`.
    ///
    /// By default a job holds its key until it is final, and a conflict is
    /// [`DelayError::Duplicate`]. Eager and disabled clients store nothing, and ignore keys.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.inner.options.unique.set_key(key.into());
        self
    }

    /// The job holds its unique key for this long after it is stored, whatever becomes of it.
    pub fn unique_for(mut self, span: Duration) -> Self {
        self.inner.options.unique.set_scope(UniqueScope::For(span), ".unique_for");
        self
    }

    /// The job holds its unique key until a worker takes it for the first time.
    pub fn unique_while_queued(mut self) -> Self {
        self.inner.options.unique.set_scope(UniqueScope::Queued, ".unique_while_queued");
        self
    }

    /// What becomes of this call if another job holds its unique key.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.inner.options.unique.set_on_conflict(on_conflict, ".on_conflict");
        self
    }

    /// Adds a header, for middleware and tracing. `traceparent` must be a W3C one.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inner.options.headers.insert(name.into(), value.into());
        self
    }

    /// Adds a call that follows the job: stored with it, and run once it has ended.
    ///
    /// `follow` makes that call of the job's handle, and the type of its parameter says when it
    /// runs: a `T` takes the result, so it runs on success; a `Result<T, JobError>` takes
    /// whatever comes; a `JobError` takes [`Handle::failure`], so it runs on failure. What is
    /// not to run fails with its input, or ends as cancelled.
    ///
    /// [`Handle::then`] does the same for a job that is there, ended or not. A call that runs
    /// here has no follow-ups.
    ///
    /// ```
    /// # use taskcore as hereafter;
    /// use hereafter::{JobError, register_task};
    ///
    /// #[register_task(crate = hereafter)]
    /// fn render(page: String) -> String { page }
    ///
    /// #[register_task(crate = hereafter)]
    /// fn publish(page: String) {}
    ///
    /// #[register_task(crate = hereafter)]
    /// fn alert(error: JobError) {}
    ///
    /// let call = render("home").then(|page| publish(page)).then(|page| alert(page.failure()));
    /// # drop(call);
    /// ```
    pub fn then<U, R2, P2>(mut self, follow: impl FnOnce(Handle<T>) -> Call<U, R2, P2>) -> Self {
        let options = &mut self.inner.options;
        let id = *options.id.get_or_insert_with(JobId::new);
        let follow_up = follow(Handle::of_source(id, HandleSource::Unbound));
        match follow_up.planned() {
            Ok(planned) => self.inner.options.follow_ups.push(Arc::new(planned)),
            Err(error) => self.refuse(&error),
        }
        self
    }

    /// The same call with a type that says only what it yields: `Call<T>`, for a signature or a
    /// collection. Run here, it yields a `Result` that says what went wrong.
    pub fn erase(self) -> Call<T>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: Place,
    {
        let (options, states) = (self.inner.options.clone(), self.inner.states.clone());
        let (task, nesting) = (self.inner.task, self.inner.nesting);
        let mut erased = Call::bind(task, nesting, Box::new(Erased(self)), |answer| answer);
        erased.inner.options = options;
        erased.inner.states = states;
        erased
    }

    /// Refers to a job that is there.
    pub(crate) fn of_job(mut self, id: JobId) -> Self {
        self.inner.options.id = Some(id);
        self
    }

    /// Whether its task returns a stream.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(&self.inner.run, RunHere::Bound(bound) if bound.is_stream())
    }

    /// Runs it here item by item.
    pub(crate) fn open(mut self) -> AnyItems {
        let Some((bound, frame)) = self.take_bound() else {
            panic!("a call that was awaited has given its arguments away");
        };
        bound.open(frame)
    }

    fn refuse(&mut self, error: &dyn fmt::Display) {
        self.inner.options.invalid.get_or_insert_with(|| error.to_string());
    }

    fn take_bound(&mut self) -> Option<(Box<dyn Bound<R>>, Frame)> {
        match std::mem::replace(&mut self.inner.run, RunHere::Over) {
            RunHere::Bound(bound) => {
                let context = Context::detached(self.inner.task.name);
                Some((bound, Frame { context, states: self.inner.states.clone() }))
            }
            other => {
                self.inner.run = other;
                None
            }
        }
    }
}

impl<T, R, P> Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: 'static,
{
    /// Stores the call as a job, to run as soon as a worker is free.
    ///
    /// Uses the client of the current scope, else the process default, else one opened from
    /// `HEREAFTER_URL`. Calls delayed at the same time share a round trip.
    ///
    /// # Errors
    ///
    /// [`DelayError`]. Ok means durably stored.
    ///
    /// # Cancel safety
    ///
    /// Dropped midway, the job may or may not be stored.
    pub async fn delay(self) -> Result<Handle<T>, DelayError> {
        let client = Client::for_task(self.inner.task.name).await?;
        client.store(self, Due::Now).await
    }

    /// Stores the call as a job, through the given client.
    ///
    /// # Errors
    ///
    /// As for [`delay`](Self::delay).
    pub async fn delay_on(self, client: &Client) -> Result<Handle<T>, DelayError> {
        client.store(self, Due::Now).await
    }

    /// Stores the call as a job that is due this long from now, on the broker's clock.
    ///
    /// # Errors
    ///
    /// As for [`delay`](Self::delay).
    pub async fn call_after(self, wait: Duration) -> Result<Handle<T>, DelayError> {
        let client = Client::for_task(self.inner.task.name).await?;
        client.store(self, Due::After(wait)).await
    }

    /// Stores the call as a job that is due at this time, on the broker's clock.
    ///
    /// # Errors
    ///
    /// As for [`delay`](Self::delay).
    pub async fn call_at(self, at: Timestamp) -> Result<Handle<T>, DelayError> {
        let client = Client::for_task(self.inner.task.name).await?;
        client.store(self, Due::At(at)).await
    }
}

impl<I, R, P> Call<Vec<I>, R, P> {
    /// Runs it here, item by item: the next one is made when it is asked for. Of a task that
    /// returns a list, its elements. An error is the last item.
    ///
    /// # Panics
    ///
    /// As when the call is awaited.
    pub fn stream(self) -> ItemStream<I>
    where
        I: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        if self.is_stream() {
            let typed = |item: Box<dyn Any + Send>| {
                *item.downcast::<I>().expect("the items of a task are what its list is of")
            };
            return ItemStream::here(self.open().map_ok(typed).boxed());
        }
        let items = self.judged().map(|list| match list {
            Ok(items) => items.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        ItemStream::here(items.map(stream::iter).flatten_stream().boxed())
    }

    /// Adds a call that follows each item of the stream: a job for each, stored as the items come.
    ///
    /// `follow` makes that call of a handle that stands for the item; its other arguments are
    /// values. [`Handle::then_each`] does the same for a job that is there, and begins with its
    /// first item too. Of an attempt that fails midway, the items have had their jobs; those of
    /// the next one get theirs. A job of its own reads the stream, in the queue of the calls that
    /// follow; it takes a slot of a worker while there are items to follow.
    ///
    /// ```
    /// # use taskcore as hereafter;
    /// use futures::stream::{self, Stream};
    /// use hereafter::register_task;
    ///
    /// #[register_task(crate = hereafter)]
    /// fn pages(book: String) -> impl Stream<Item = u32> { stream::iter(1..=300) }
    ///
    /// #[register_task(crate = hereafter)]
    /// fn render(book: String, page: u32) {}
    ///
    /// let call = pages("atlas").then_each(|page| render("atlas", page));
    /// # drop(call);
    /// ```
    pub fn then_each<U, R2, P2>(
        mut self,
        follow: impl FnOnce(Handle<I>) -> Call<U, R2, P2>,
    ) -> Self {
        let id = *self.inner.options.id.get_or_insert_with(JobId::new);
        match follow_each(id, self.inner.task.name, follow) {
            Ok(call) => self.then(|_| call),
            Err(reason) => {
                self.refuse(&reason);
                self
            }
        }
    }
}

/// The call that stores one of these for each item of a job.
pub(crate) fn follow_each<I, U, R, P>(
    job: JobId,
    task: &str,
    follow: impl FnOnce(Handle<I>) -> Call<U, R, P>,
) -> Result<Call<u64>, String> {
    let item = JobId::new();
    let call = follow(Handle::of_source(item, HandleSource::Unbound));
    let planned = call.planned().map_err(|error| error.to_string())?;
    each(job, task, item, &planned)
}

impl<T, R> Call<T, R, InPlace> {
    /// Runs the plain function here, on this thread, and returns what it returns.
    ///
    /// # Panics
    ///
    /// If the function does, or if it needs a `State` that nobody provides.
    pub fn call(mut self) -> R {
        self.run_in_place()
    }
}

impl<T, R, P> Future for Call<T, R, P> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<R> {
        let this = self.get_mut();
        if let Some((bound, frame)) = this.take_bound() {
            this.inner.run = RunHere::Running(bound.start(frame));
        }
        let RunHere::Running(running) = &mut this.inner.run else {
            panic!("a call was polled after it was finished");
        };
        let returned = std::task::ready!(running.as_mut().poll(waker));
        this.inner.run = RunHere::Over;
        Poll::Ready(returned)
    }
}

impl<T, R, P> fmt::Debug for Call<T, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.inner.task.name)
    }
}
