//! [`Continue`]: tasks that answer with another call, or job, instead of a value.

use futures::future::{BoxFuture, FutureExt};
use serde::de::DeserializeOwned;

use crate::bound::on_blocking_pool;
use crate::call::Call;
use crate::client::Root;
use crate::error::{DelayError, JobError};
use crate::handle::Handle;
use crate::kind::Place;
use crate::payload::CodecError;
use crate::task::{AsyncStepFn, Completion, Frame, PlainStepFn, Raised, Run, Yielded, prepare};

/// What a task may return to be continued by it: a [`Call`] or a [`Handle`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Call` or `Handle`, but is none of Hereafter's",
    label = "expected `hereafter::Call` or `hereafter::Handle`",
    note = "a task whose return type has such a name is continued by what it returns; give this type another name"
)]
pub trait Continue: Send + 'static {
    /// What it yields in the end.
    type Output: Send + 'static;

    /// How a job goes on.
    #[doc(hidden)]
    fn into_continuation(self) -> Result<Continuation, DelayError>;

    /// Goes on here.
    #[doc(hidden)]
    fn follow(self) -> BoxFuture<'static, Result<Self::Output, JobError>>;
}

/// What continues a job: opaque, for whoever runs tasks. See
/// [`Client::continuing`](crate::Client::continuing).
#[derive(Debug)]
pub struct Continuation(pub(crate) Root);

impl<T, R, P> Continue for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    type Output = T;

    fn into_continuation(self) -> Result<Continuation, DelayError> {
        Root::of(&self).map(Continuation)
    }

    fn follow(self) -> BoxFuture<'static, Result<T, JobError>> {
        self.judged().boxed()
    }
}

impl<T: DeserializeOwned + Send + 'static> Continue for Handle<T> {
    type Output = T;

    fn into_continuation(self) -> Result<Continuation, DelayError> {
        Root::of(&Call::from(self)).map(Continuation)
    }

    fn follow(self) -> BoxFuture<'static, Result<T, JobError>> {
        self.boxed()
    }
}

/// Runs an async task to the end of what continues it; for generated code.
pub async fn follow_async<F: AsyncStepFn>(
    args: F::Ready,
    frame: Frame,
) -> Result<F::Output, JobError> {
    let context = frame.context.clone();
    match F::step(args, frame).await {
        Ok(next) => next.follow().await,
        Err(raised) => Err(raised.into_error(&context)),
    }
}

/// Runs a plain task to the end of what continues it; for generated code.
pub async fn follow_plain<F: PlainStepFn>(
    args: F::Ready,
    frame: Frame,
) -> Result<F::Output, JobError> {
    let context = frame.context.clone();
    match on_blocking_pool(move || F::step(args, &frame)).await {
        Ok(next) => next.follow().await,
        Err(raised) => Err(raised.into_error(&context)),
    }
}

/// [`TaskDescriptor::prepare`](crate::TaskDescriptor::prepare) of an async task that is continued.
pub fn prepare_async_step<F: AsyncStepFn>(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    prepare::<F>(args, frame, |args, frame| {
        Run::Async(Box::pin(async move { complete(F::step(args, frame).await) }))
    })
}

/// [`TaskDescriptor::prepare`](crate::TaskDescriptor::prepare) of a plain task that is continued.
pub fn prepare_plain_step<F: PlainStepFn>(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    prepare::<F>(args, frame, |args, frame| {
        Run::Plain(Box::new(move || complete(F::step(args, &frame))))
    })
}

fn complete(next: Result<impl Continue, Raised>) -> Completion {
    let continuation = next?.into_continuation();
    continuation.map(Yielded::Continued).map_err(Raised::undelayable)
}
