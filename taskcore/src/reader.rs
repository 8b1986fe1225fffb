//! [`ItemStream`] and [`ProgressStream`]: what a handle tells before its job ends.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waker, Poll};
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sync_wrapper::SyncWrapper;
use tokio_util::task::AbortOnDropHandle;

use crate::broker::{BrokerError, Items, JobState, Lookup, Progress, ReadItems, Reports};
use crate::client::{Client, streamed};
use crate::error::{JobError, error_chain};
use crate::id::JobId;
use crate::payload::{Codec, Json, Payload};
use crate::task::registry;

/// The items of a stream, as they come. From [`Handle::stream`](crate::Handle::stream), or from
/// [`Call::stream`](crate::Call::stream) of a run here.
#[must_use = "a stream does nothing until it is polled"]
pub struct ItemStream<T>(SyncWrapper<BoxStream<'static, Result<T, JobError>>>);

/// The progress of a job, as it is reported. From [`Handle::progress`](crate::Handle::progress).
pub type ProgressStream = ItemStream<Progress>;

/// One question waits this long for news; wake-ups end it sooner.
const WAIT: Duration = Duration::from_secs(10);

/// How long an unreachable store is asked again before the reader is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader of a stream that is made on demand says this often that it is there, or more often if
/// its task is less patient.
const SIGN: Duration = Duration::from_secs(10);

/// But not more often than this.
const SIGN_MIN: Duration = Duration::from_millis(50);

/// Items in one answer.
const PAGE: u32 = 1_000;

impl<T: Send + 'static> ItemStream<T> {
    /// Of what is made here.
    pub(crate) fn here(items: BoxStream<'static, Result<T, JobError>>) -> Self {
        Self(SyncWrapper::new(items))
    }

    pub(crate) fn error(error: JobError) -> Self {
        Self::here(stream::iter([Err(error)]).boxed())
    }
}

impl<T: DeserializeOwned + Send + 'static> ItemStream<T> {
    pub(crate) fn of(reader: Reader) -> Self {
        let (job, task) = (reader.job, reader.task.clone());
        let items = reader.into_stream();
        let items = items.map(move |item| item.and_then(|item| decode(&item, job, &task)));
        Self::here(items.fuse().boxed())
    }

    /// Of a job of which all is known.
    pub(crate) fn known(lookup: Lookup, job: JobId, task: String) -> Self {
        let items = match elements(lookup, job) {
            Ok(items) => items.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let decode =
            move |item: Result<Payload, _>| item.and_then(|item| decode(&item, job, &task));
        Self::here(stream::iter(items).map(decode).boxed())
    }
}

impl<T> Stream for ItemStream<T> {
    type Item = Result<T, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Option<Self::Item>> {
        self.0.get_mut().poll_next_unpin(waker)
    }
}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream").finish_non_exhaustive()
    }
}

impl ProgressStream {
    pub(crate) fn of_progress(reports: Arc<dyn Reports>, job: JobId) -> Self {
        let start = Some((reports, None));
        let progress = stream::unfold(start, move |state| async move {
            let (reports, seen) = state?;
            loop {
                let answer = patiently(job, || reports.progress(job, seen, WAIT)).await;
                let now = match answer {
                    Ok(now) => now,
                    Err(error) => return Some((Err(error), None)),
                };
                if let Some(progress) = now.progress.filter(|_| seen != Some(now.version)) {
                    return Some((Ok(progress), Some((reports, Some(now.version)))));
                }
                match now.state {
                    None => return Some((Err(JobError::unknown(job)), None)),
                    Some(state) if state.is_final() => return None,
                    Some(_) => {}
                }
            }
        });
        Self::here(progress.fuse().boxed())
    }

    pub(crate) fn none() -> Self {
        Self::here(stream::empty().boxed())
    }
}

/// When a reader says which items it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pull {
    /// Its task is made on demand.
    Always,
    /// Its task is not linked here, so nobody knows; it matters only when there is nothing to read.
    WhenIdle,
    /// Its task makes all items anyway.
    Never,
}

/// Reads the stream of one job.
pub(crate) struct Reader {
    client: Client,
    reports: Arc<dyn Reports>,
    job: JobId,
    task: String,
    pull: Pull,
    /// How often it says that it is there.
    sign: Duration,
    run: Option<u64>,
    /// The index of the first item of `buffer`.
    next: u64,
    buffer: VecDeque<Payload>,
    /// Says that the reader is there, as long as it is.
    signs: Option<AbortOnDropHandle<()>>,
    is_over: bool,
}

/// What a reader of many items came to.
pub(crate) enum Batch {
    Items {
        run: u64,
        first: u64,
        items: Vec<Payload>,
    },
    /// The stream has begun anew.
    Restarted,
    /// Nothing for now.
    Nothing,
    End,
}

/// What a reader came to.
enum Step {
    Item(Payload),
    /// The stream has begun anew.
    Restarted,
    /// Nothing for now.
    Nothing,
    End,
}

impl Reader {
    pub(crate) fn new(client: Client, reports: Arc<dyn Reports>, job: JobId, task: String) -> Self {
        let linked = registry().find(&task).map(|task| task.stream);
        let demand = linked.flatten().and_then(|options| options.on_demand);
        let sign = demand.map_or(SIGN, |demand| (demand.patience / 4).clamp(SIGN_MIN, SIGN));
        let pull = match linked {
            None => Pull::WhenIdle,
            Some(_) if demand.is_some() => Pull::Always,
            Some(_) => Pull::Never,
        };
        Self {
            client,
            reports,
            job,
            task,
            pull,
            sign,
            run: None,
            next: 0,
            buffer: VecDeque::new(),
            signs: None,
            is_over: false,
        }
    }

    /// The same, going on in a run behind its first items.
    pub(crate) fn going_on(mut self, run: u64, next: u64) -> Self {
        (self.run, self.next) = (Some(run), next);
        self
    }

    fn into_stream(self) -> impl Stream<Item = Result<Payload, JobError>> + Send + 'static {
        stream::unfold(self, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        })
    }

    /// The next item; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Payload, JobError>> {
        loop {
            match self.step(WAIT).await {
                Ok(Step::Item(item)) => return Some(Ok(item)),
                Ok(Step::Nothing) => {}
                Ok(Step::Restarted) => return Some(Err(JobError::Restarted { job: self.job })),
                Ok(Step::End) => return None,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// All that is there, or what happens within `wait`.
    pub(crate) async fn batch(&mut self, wait: Duration) -> Result<Batch, JobError> {
        let step = match self.step(wait).await? {
            // It may have found some, or the end.
            Step::Nothing if self.is_over || !self.buffer.is_empty() => self.step(wait).await?,
            step => step,
        };
        Ok(match step {
            Step::Item(item) => {
                let first = self.next - 1;
                let items: Vec<_> = std::iter::once(item).chain(self.buffer.drain(..)).collect();
                self.next = first + items.len() as u64;
                Batch::Items { run: self.run.unwrap_or_default(), first, items }
            }
            Step::Restarted => Batch::Restarted,
            Step::Nothing => Batch::Nothing,
            Step::End => Batch::End,
        })
    }

    async fn step(&mut self, wait: Duration) -> Result<Step, JobError> {
        if let Some(item) = self.buffer.pop_front() {
            self.next += 1;
            return Ok(Step::Item(item));
        }
        if self.is_over {
            return Ok(Step::End);
        }
        if self.pull == Pull::WhenIdle {
            let here = self.read(Duration::ZERO).await?;
            if !here.items.is_empty() || here.run != self.run || is_over(&here) {
                return self.take(here).await;
            }
        }
        if self.pull != Pull::Never {
            self.say_what_is_wanted().await?;
        }
        let items = self.read(wait).await?;
        self.take(items).await
    }

    async fn read(&self, wait: Duration) -> Result<Items, JobError> {
        let read = ReadItems { job: self.job, run: self.run, from: self.next, max: PAGE };
        patiently(self.job, || self.reports.items(&read, wait)).await
    }

    async fn take(&mut self, items: Items) -> Result<Step, JobError> {
        let is_over = is_over(&items);
        let Items { run, first, items, total, state } = items;
        if state.is_none() {
            return Err(JobError::unknown(self.job));
        }
        let is_anew = run != self.run;
        let had_some = self.next > 0;
        if is_anew {
            self.run = run;
            self.next = first;
        }
        self.buffer.extend(items);
        if is_anew && had_some {
            return Ok(Step::Restarted);
        }
        if is_over && self.next + self.buffer.len() as u64 >= total {
            self.end().await?;
        } else if is_over && self.buffer.is_empty() {
            return Err(self.incomplete(total));
        }
        Ok(Step::Nothing)
    }

    /// Somebody took items out of the store.
    fn incomplete(&self, total: u64) -> JobError {
        let reason = format!("its stream has {total} items, and item {} is missing", self.next);
        JobError::Unreadable { job: self.job, task: self.task.clone(), reason }
    }

    /// The job is final, and all its items are here.
    async fn end(&mut self) -> Result<(), JobError> {
        if !self.buffer.is_empty() {
            return Ok(());
        }
        let lookup = patiently(self.job, || self.client.lookup(self.job)).await?;
        match &lookup {
            // It was replayed meanwhile.
            Lookup::Pending(_) => return Ok(()),
            Lookup::Unknown => return Err(JobError::unknown(self.job)),
            Lookup::Final(_) => self.is_over = true,
        }
        if self.run.is_none() {
            // It did not stream: its result is a list, or the stream of what continued it.
            if let Some(job) = continued_by(&lookup, self.job) {
                (self.job, self.is_over) = (job, false);
            } else {
                self.buffer.extend(elements(lookup, self.job)?);
            }
        } else if let Lookup::Final(outcome) = lookup
            && let Some(error) = outcome.error()
        {
            return Err(error);
        }
        Ok(())
    }

    /// Asks for the next item, and goes on saying that somebody is there.
    async fn say_what_is_wanted(&mut self) -> Result<(), JobError> {
        let (job, until) = (self.job, self.next + 1);
        patiently(job, || self.reports.pull(job, until)).await?;
        if self.signs.is_none() {
            let (reports, sign) = (self.reports.clone(), self.sign);
            let signs = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(sign).await;
                    // The next one says it again.
                    let _ = reports.pull(job, 0).await;
                }
            });
            self.signs = Some(AbortOnDropHandle::new(signs));
        }
        Ok(())
    }
}

fn is_over(items: &Items) -> bool {
    items.state.is_none_or(JobState::is_final)
}

/// Whose stream the result of this job is, if it is another one's.
fn continued_by(lookup: &Lookup, job: JobId) -> Option<JobId> {
    let (streamed, _) = streamed(lookup)?;
    (streamed != job).then_some(streamed)
}

/// The elements of a result that is a list.
fn elements(lookup: Lookup, job: JobId) -> Result<Vec<Payload>, JobError> {
    let Lookup::Final(outcome) = lookup else { return Err(JobError::unknown(job)) };
    if let Some(error) = outcome.error() {
        return Err(error);
    }
    let list = outcome.result.as_ref().map_or(b"[]".as_slice(), Payload::as_slice);
    let elements: Vec<&RawValue> =
        serde_json::from_slice(list).map_err(|error| JobError::Unreadable {
            job,
            task: outcome.task.clone(),
            reason: format!("it is no list: {error}"),
        })?;
    Ok(elements.into_iter().map(|item| Payload::from(item.get().as_bytes().to_vec())).collect())
}

fn decode<T: DeserializeOwned>(item: &Payload, job: JobId, task: &str) -> Result<T, JobError> {
    Json::decode(item.as_slice()).map_err(|error| JobError::Unreadable {
        job,
        task: task.to_owned(),
        reason: format!("an item is no `{}`: {error}", std::any::type_name::<T>()),
    })
}

/// Asks a store again after errors that may pass.
pub(crate) async fn patiently<T, F>(job: JobId, ask: impl Fn() -> F) -> Result<T, JobError>
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let since = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_transient() && since.elapsed() < PATIENCE => {
                let pause = 100 + u64::from(rand::random::<u8>());
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Err(error) => {
                return Err(JobError::Unreachable { job, reason: error_chain(&error) });
            }
        }
    }
}
