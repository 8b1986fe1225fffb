//! [`Outlet`]: where a task that returns a stream puts its items, one by one.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt};
use serde::Serialize;

use crate::payload::Codec as _;
use crate::payload::{CodecError, Json, Payload};
use crate::task::{Completion, Frame, Raised, Run, TaskFn, Yielded, prepare};

/// How a task that returns a stream is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Set if its items are made only for readers.
    pub on_demand: Option<OnDemand>,
}

/// How far a stream goes for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDemand {
    /// How many items it may be ahead of what was asked for.
    pub window: u32,
    /// How long it waits for a sign of a reader, before its job ends as cancelled.
    pub patience: Duration,
}

impl OnDemand {
    /// What a task has that says `on_demand` alone.
    pub const DEFAULT: Self = Self { window: 16, patience: Duration::from_secs(60) };
}

/// Takes the items of a stream, when they are wanted.
pub trait Outlet<T>: Send {
    /// Ready when one more item is wanted. Nothing is computed before.
    fn poll_room(&mut self, waker: &mut Waker<'_>) -> Poll<()>;

    /// Takes an item.
    ///
    /// # Errors
    ///
    /// [`Raised`] if it has no encoded form; then the stream ends with it.
    fn put(&mut self, item: T) -> Result<(), Raised>;
}

impl<T> Outlet<T> for Box<dyn Outlet<T>> {
    fn poll_room(&mut self, waker: &mut Waker<'_>) -> Poll<()> {
        (**self).poll_room(waker)
    }

    fn put(&mut self, item: T) -> Result<(), Raised> {
        (**self).put(item)
    }
}

/// A run of a stream that waits for the place where its items go.
pub type StreamRun =
    Box<dyn FnOnce(Box<dyn Outlet<Payload>>) -> BoxFuture<'static, Completion> + Send>;

/// A task function that returns a stream.
pub trait StreamTaskFn: TaskFn {
    /// One item.
    type Item: Send + 'static;

    /// The stored form of an item.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if it has none.
    fn encode(item: &Self::Item) -> Result<Payload, CodecError>;

    /// Runs it to the end of its stream.
    fn drive(
        args: Self::Ready,
        frame: Frame,
        outlet: impl Outlet<Self::Item> + 'static,
    ) -> impl Future<Output = Result<(), Raised>> + Send + 'static;
}

/// [`TaskDescriptor::prepare`](crate::TaskDescriptor::prepare) of a task that returns a stream.
pub fn prepare_stream<F: StreamTaskFn>(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    prepare::<F>(args, frame, |args, frame| {
        Run::Stream(Box::new(move |outlet| {
            Box::pin(async move {
                let job = frame.context.id();
                let put = Arc::<Mutex<u64>>::default();
                let encoder = Encoder { outlet, put: put.clone(), encode: F::encode };
                F::drive(args, frame, encoder).await?;
                let count = *put.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Yielded::Result(Some(Payload::of_stream(job, count))))
            })
        }))
    })
}

/// Encodes and counts items.
struct Encoder<T> {
    outlet: Box<dyn Outlet<Payload>>,
    put: Arc<Mutex<u64>>,
    encode: fn(&T) -> Result<Payload, CodecError>,
}

impl<T> Outlet<T> for Encoder<T> {
    fn poll_room(&mut self, waker: &mut Waker<'_>) -> Poll<()> {
        self.outlet.poll_room(waker)
    }

    fn put(&mut self, item: T) -> Result<(), Raised> {
        let item = (self.encode)(&item).map_err(|error| Raised::unencodable::<T>(&error))?;
        self.outlet.put(item)?;
        *self.put.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(())
    }
}

/// Encodes an item; for generated code.
pub fn encode_item<T: Serialize>(item: T) -> Result<Payload, CodecError> {
    Json::encode(&item)
}

/// Waits until an item is wanted; for generated code.
pub async fn room<T>(outlet: &mut impl Outlet<T>) {
    poll_fn(|waker| outlet.poll_room(waker)).await;
}

/// Puts all items of a stream into an outlet, each when it is wanted; for generated code.
pub async fn pour<T, I>(
    items: impl Stream<Item = I>,
    outlet: &mut impl Outlet<T>,
    judge: impl Fn(I) -> Result<T, Raised>,
) -> Result<(), Raised> {
    let mut items = pin!(items);
    let mut made: u64 = 0;
    loop {
        room(outlet).await;
        match items.next().await {
            Some(item) => outlet.put(judge(item)?)?,
            None => return Ok(()),
        }
        made += 1;
        if made.is_multiple_of(AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
}

/// Items that a stream which never waits makes before others have their turn: its time-out and its
/// cancellation among them.
const AT_ONCE: u64 = 32;

/// All items of a stream; for generated code.
pub async fn collect<T>(items: impl Stream<Item = T>) -> Vec<T> {
    items.collect().await
}

/// All items of a stream, or its first error; for generated code.
pub async fn try_collect<T, E>(items: impl Stream<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    items.try_collect().await
}

/// Collects items as one JSON array.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    /// Adds an item.
    pub(crate) fn add(&mut self, item: &Payload) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !items.is_empty() {
            items.push(b',');
        }
        items.extend_from_slice(item.as_slice());
    }

    /// The array so far.
    pub(crate) fn array(&self) -> Payload {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Payload::from([b"[", &items[..], b"]"].concat())
    }
}

impl Outlet<Payload> for Collector {
    fn poll_room(&mut self, _: &mut Waker<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn put(&mut self, item: Payload) -> Result<(), Raised> {
        self.add(&item);
        Ok(())
    }
}
