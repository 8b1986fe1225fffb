//! A stream that runs here, item by item.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Waker, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::JobError;
use crate::outlet::Outlet;
use crate::task::Raised;

/// The items of a stream whose type the caller knows.
pub(crate) type AnyItems = BoxStream<'static, Result<Box<dyn Any + Send>, JobError>>;

/// Hands items over one by one, each when it is asked for.
struct Handoff<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    is_asked: bool,
    item: Option<T>,
}

impl<T> Handoff<T> {
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Outlet<T> for Handoff<T> {
    fn poll_room(&mut self, _: &mut Waker<'_>) -> Poll<()> {
        // Whoever asks polls the task right after, so nobody needs to be woken.
        if self.lock().is_asked { Poll::Ready(()) } else { Poll::Pending }
    }

    fn put(&mut self, item: T) -> Result<(), Raised> {
        *self.lock() = Slot { is_asked: false, item: Some(item) };
        Ok(())
    }
}

/// Polls a task as far as its next item.
struct Lazy<T> {
    /// `None` once it has ended.
    task: Option<BoxFuture<'static, Result<(), JobError>>>,
    handoff: Handoff<T>,
}

/// The items of a task that puts them into an outlet.
pub(crate) fn items<T, F>(
    drive: impl FnOnce(Box<dyn Outlet<T>>) -> F,
) -> impl Stream<Item = Result<T, JobError>> + Send + 'static
where
    T: Send + 'static,
    F: Future<Output = Result<(), JobError>> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(Slot { is_asked: false, item: None }));
    let task = drive(Box::new(Handoff(slot.clone())));
    Lazy { task: Some(Box::pin(task)), handoff: Handoff(slot) }
}

impl<T> Stream for Lazy<T> {
    type Item = Result<T, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(task) = &mut this.task else { return Poll::Ready(None) };
        this.handoff.lock().is_asked = true;
        let ended = task.as_mut().poll(waker);
        if ended.is_ready() {
            this.task = None;
        }
        match (this.handoff.lock().item.take(), ended) {
            (Some(item), _) => Poll::Ready(Some(Ok(item))),
            (None, Poll::Ready(Ok(()))) => Poll::Ready(None),
            (None, Poll::Ready(Err(error))) => Poll::Ready(Some(Err(error))),
            (None, Poll::Pending) => Poll::Pending,
        }
    }
}
