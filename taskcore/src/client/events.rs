//! [`EventStream`]: what happens in the whole system.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use sync_wrapper::SyncWrapper;
use tokio::time::Instant;

use super::Client;
use crate::broker::{BrokerError, Event, EventId};

/// What happens to all jobs of a store, as a stream that never ends by itself.
///
/// The store keeps a bounded number of events, so who reads too slowly misses some, and is told
/// how many: [`Followed::Missed`]. Who stops goes on later [`after`](Self::after) the last event
/// that it saw.
#[must_use = "a stream does nothing until it is polled"]
pub struct EventStream {
    client: Client,
    start: Start,
    quiet: Option<Duration>,
    /// Made by the first poll.
    reading: Option<SyncWrapper<BoxStream<'static, Result<Followed, BrokerError>>>>,
}

/// What a reader of events gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Something happened.
    Event(Event),
    /// So many events happened here and are no longer kept.
    Missed(u64),
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy)]
enum Start {
    Now,
    Oldest,
    After(EventId),
}

/// One question waits this long for news; wake-ups end it sooner.
const WAIT: Duration = Duration::from_secs(10);

/// Events in one answer.
const PAGE: u32 = 1_000;

impl EventStream {
    pub(super) fn new(client: Client) -> Self {
        Self { client, start: Start::Now, quiet: None, reading: None }
    }

    /// Begins with the oldest event that is kept.
    pub fn from_oldest(mut self) -> Self {
        self.start = Start::Oldest;
        self
    }

    /// Begins after this event.
    pub fn after(mut self, last_seen: EventId) -> Self {
        self.start = Start::After(last_seen);
        self
    }

    /// Ends when nothing has happened for this long.
    pub fn until_quiet(mut self, span: Duration) -> Self {
        self.quiet = Some(span);
        self
    }

    fn read(&self) -> BoxStream<'static, Result<Followed, BrokerError>> {
        let position = match self.start {
            Start::Now => None,
            Start::Oldest => Some(EventId::START),
            Start::After(last_seen) => Some(last_seen),
        };
        let reading = Reading {
            client: self.client.clone(),
            position,
            quiet: self.quiet,
            tells_missed: !matches!(self.start, Start::Oldest),
            buffer: VecDeque::new(),
        };
        stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(followed)) => Some((Ok(followed), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .fuse()
        .boxed()
    }
}

struct Reading {
    client: Client,
    position: Option<EventId>,
    quiet: Option<Duration>,
    /// Who begins with what is there has missed nothing that it asked for.
    tells_missed: bool,
    buffer: VecDeque<Followed>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Followed>, BrokerError> {
        let since = Instant::now();
        loop {
            if let Some(followed) = self.buffer.pop_front() {
                return Ok(Some(followed));
            }
            let left = self.quiet.map(|quiet| quiet.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.ask(left.map_or(WAIT, |left| left.min(WAIT))).await?;
        }
    }

    async fn ask(&mut self, wait: Duration) -> Result<(), BrokerError> {
        let history = self.client.history("events")?;
        let answer = history.events(self.position, PAGE, wait).await?;
        if answer.missed > 0 && self.tells_missed {
            self.buffer.push_back(Followed::Missed(answer.missed));
        }
        self.tells_missed |= !answer.events.is_empty();
        self.buffer.extend(answer.events.into_iter().map(Followed::Event));
        self.position = Some(answer.next);
        Ok(())
    }
}

impl Stream for EventStream {
    type Item = Result<Followed, BrokerError>;

    fn poll_next(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.reading.is_none() {
            this.reading = Some(SyncWrapper::new(this.read()));
        }
        let reading = this.reading.as_mut().expect("it was made above");
        reading.get_mut().poll_next_unpin(waker)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("start", &self.start).finish_non_exhaustive()
    }
}
