//! [`Handle`]: the client's end of a job.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sync_wrapper::SyncWrapper;

use crate::broker::{
    CancelOutcome, CancelScope, JobRecord, JobState, LogLine, Lookup, Outcome, Timeline,
};
use crate::call::{Call, follow_each};
use crate::client::Client;
use crate::each::NEEDS_ITEMS;
use crate::error::{DelayError, JobError, error_chain};
use crate::follow::FailureOf;
use crate::id::JobId;
use crate::payload::{Codec, Json};
use crate::reader::{ItemStream, ProgressStream, Reader, patiently};
use crate::task::{TaskDescriptor, registry};

/// The client's end of a job: a future of its result.
///
/// Cheap to clone; dropping it changes nothing; reading never consumes the result. It
/// serialises to the job's id and task, so it can be stored or sent, and awaited elsewhere.
pub struct Handle<T> {
    job: JobId,
    task: Cow<'static, str>,
    source: HandleSource,
    /// Only ever polled through `&mut`; the wrapper lets `&Handle` cross an await all the same.
    waiting: Option<SyncWrapper<BoxFuture<'static, Result<T, JobError>>>>,
    marker: PhantomData<fn() -> T>,
}

/// More items than any stream has, within what a store can count.
const ALL_ITEMS: u64 = i64::MAX as u64;

/// Where the answer comes from.
#[derive(Debug, Clone)]
pub(crate) enum HandleSource {
    /// The store behind this client.
    Store(Client),
    /// The store behind whatever client is current when it is asked.
    Unbound,
    /// It is known: the job ran eagerly.
    Known(Box<Lookup>),
    /// Nothing was stored.
    Disabled,
    /// Its caller said `ignore_result`.
    Ignored(Client),
}

impl<T> Handle<T> {
    pub(crate) fn stored(job: JobId, task: Cow<'static, str>, client: Client) -> Self {
        Self::new(job, task, HandleSource::Store(client))
    }

    pub(crate) fn ignored(job: JobId, task: Cow<'static, str>, client: Client) -> Self {
        Self::new(job, task, HandleSource::Ignored(client))
    }

    pub(crate) fn known(outcome: Outcome) -> Self {
        let task = Cow::Owned(outcome.task.clone());
        Self::new(
            outcome.job,
            task,
            HandleSource::Known(Box::new(Lookup::Final(Box::new(outcome)))),
        )
    }

    pub(crate) fn disabled(job: JobId, task: &'static str) -> Self {
        Self::new(job, Cow::Borrowed(task), HandleSource::Disabled)
    }

    fn new(job: JobId, task: Cow<'static, str>, source: HandleSource) -> Self {
        Self { job, task, source, waiting: None, marker: PhantomData }
    }

    pub(crate) fn of_source(job: JobId, source: HandleSource) -> Self {
        Self::new(job, Cow::Borrowed(""), source)
    }

    pub(crate) fn source(&self) -> HandleSource {
        self.source.clone()
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job
    }

    /// The task's name; empty if the handle was made from an id alone.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The failure of the job, as an argument of a call that is to run only if there is one.
    #[must_use]
    pub fn failure(&self) -> FailureOf<T> {
        FailureOf::of(self.clone())
    }

    /// Delays a call that follows the job, as [`Call::then`] does: late or early, once.
    ///
    /// # Errors
    ///
    /// [`DelayError`].
    pub async fn then<U, R, P>(
        &self,
        follow: impl FnOnce(Self) -> Call<U, R, P>,
    ) -> Result<Handle<U>, DelayError>
    where
        U: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        let call = follow(self.clone());
        match &self.source {
            HandleSource::Store(client) | HandleSource::Ignored(client) => {
                call.delay_on(client).await
            }
            _ => call.delay().await,
        }
    }

    /// The state now; `None` if nothing is kept of the job.
    ///
    /// # Errors
    ///
    /// [`JobError::Disabled`], or [`JobError::Unreachable`] if the broker does not answer.
    pub async fn state(&self) -> Result<Option<JobState>, JobError> {
        match self.lookup().await? {
            Lookup::Unknown => Ok(None),
            Lookup::Pending(state) => Ok(Some(state)),
            Lookup::Final(outcome) => Ok(Some(outcome.state)),
        }
    }

    /// All that the store knows of the job, with the times of its life; `None` if nothing is
    /// kept, or if the job ran eagerly.
    ///
    /// # Errors
    ///
    /// As for [`state`](Self::state), and if the broker cannot list jobs.
    pub async fn record(&self) -> Result<Option<JobRecord>, JobError> {
        let Some(client) = self.client()? else { return Ok(None) };
        client.record(self.job).await.map_err(|error| self.unreachable(&error))
    }

    /// Cancels the job: before it starts it never runs; while it runs its `Context` is
    /// cancelled as soon as its worker is told, and it counts as cancelled from now on.
    ///
    /// Inputs that were made for it, as parts of its call, and that nothing else waits for are
    /// cancelled too.
    ///
    /// # Errors
    ///
    /// As for [`state`](Self::state), and if the broker cannot cancel.
    pub async fn cancel(&self) -> Result<CancelOutcome, JobError> {
        self.cancel_with(CancelScope::WithInputs).await
    }

    /// Cancels the job, with its inputs or without.
    ///
    /// # Errors
    ///
    /// As for [`cancel`](Self::cancel).
    pub async fn cancel_with(&self, scope: CancelScope) -> Result<CancelOutcome, JobError> {
        let Some(client) = self.client()? else { return Ok(CancelOutcome::TooLate) };
        let cancelled = client.cancel(&[self.job], scope).await;
        let outcomes = cancelled.map_err(|error| self.unreachable(&error))?;
        Ok(outcomes.first().copied().unwrap_or(CancelOutcome::Unknown))
    }

    /// The life of the job so far: when it was stored, each attempt with its worker and error, its
    /// end; `None` if nothing is kept, or if the job ran eagerly.
    ///
    /// # Errors
    ///
    /// As for [`state`](Self::state), and if this set-up keeps no history.
    pub async fn timeline(&self) -> Result<Option<Timeline>, JobError> {
        let Some(client) = self.client()? else { return Ok(None) };
        let history = client.history("timeline").map_err(|error| self.unreachable(&error))?;
        history.timeline(self.job).await.map_err(|error| self.unreachable(&error))
    }

    /// What the job wrote by [`Context::log`](crate::Context::log), the oldest line first.
    ///
    /// # Errors
    ///
    /// As for [`state`](Self::state), and if this set-up keeps no logs.
    pub async fn log(&self) -> Result<Vec<LogLine>, JobError> {
        let Some(client) = self.client()? else { return Ok(Vec::new()) };
        let reports = client.reports("log").map_err(|error| self.unreachable(&error))?;
        reports.log(self.job).await.map_err(|error| self.unreachable(&error))
    }

    /// The job's progress, as it says it by [`Context::progress`](crate::Context::progress) and
    /// [`message`](crate::Context::message): the latest at once, then each newer one that there is
    /// when it is asked for. Ends when the job does.
    ///
    /// An error is its last item.
    pub fn progress(&self) -> ProgressStream {
        let client = match self.client() {
            Ok(Some(client)) => client,
            Ok(None) => return ProgressStream::none(),
            Err(error) => return ProgressStream::error(error),
        };
        match client.reports("progress") {
            Ok(reports) => ProgressStream::of_progress(reports.clone(), self.job),
            Err(error) => ProgressStream::error(self.unreachable(&error)),
        }
    }

    pub(crate) fn client(&self) -> Result<Option<Client>, JobError> {
        match &self.source {
            HandleSource::Store(client) | HandleSource::Ignored(client) => Ok(Some(client.clone())),
            HandleSource::Known(_) => Ok(None),
            HandleSource::Disabled => Err(JobError::Disabled { task: self.task.to_string() }),
            HandleSource::Unbound => {
                Client::current().map(Some).ok_or_else(|| JobError::Unreachable {
                    job: self.job,
                    reason: "no client: call `hereafter::connect(url)` first".to_owned(),
                })
            }
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> JobError {
        JobError::Unreachable { job: self.job, reason: error_chain(error) }
    }

    /// What is known of the job, without the items of a stream.
    async fn lookup(&self) -> Result<Lookup, JobError> {
        if let HandleSource::Known(lookup) = &self.source {
            return Ok((**lookup).clone());
        }
        let Some(client) = self.client()? else { return Ok(Lookup::Unknown) };
        client.lookup(self.job).await.map_err(|error| self.unreachable(&error))
    }

    /// The same, with them.
    async fn whole(&self, lookup: Lookup) -> Result<Lookup, JobError> {
        let Some(client) = self.client()? else { return Ok(lookup) };
        client.whole(lookup).await.map_err(|error| self.unreachable(&error))
    }
}

impl<T: DeserializeOwned + Send + 'static> Handle<T> {
    /// A handle from an id alone; it reads through `client`.
    pub(crate) fn of_id(job: JobId, client: Client) -> Self {
        Self::stored(job, Cow::Borrowed(""), client)
    }

    /// Waits for the result, but no longer than `timeout`; zero looks once.
    ///
    /// # Errors
    ///
    /// [`JobError::NotYet`] when the time is over: the job goes on, and the handle can be
    /// asked again. Otherwise as when the handle is awaited.
    pub async fn wait(&self, timeout: Duration) -> Result<T, JobError> {
        self.check_kept()?;
        if timeout.is_zero() {
            return match self.lookup().await? {
                Lookup::Pending(_) => Err(JobError::NotYet { job: self.job, waited: timeout }),
                lookup => self.read(self.whole(lookup).await?),
            };
        }
        match tokio::time::timeout(timeout, self.clone()).await {
            Ok(answer) => answer,
            Err(_) => Err(JobError::NotYet { job: self.job, waited: timeout }),
        }
    }

    /// Waits for the outcome and reads it.
    async fn answer(self) -> Result<T, JobError> {
        self.check_kept()?;
        let lookup = match &self.source {
            HandleSource::Known(lookup) => (**lookup).clone(),
            _ => {
                let Some(client) = self.client()? else {
                    unreachable!("only a known outcome has no client, and that was answered")
                };
                self.want_all(&client).await?;
                client.wait_for(self.job).await?
            }
        };
        self.read(lookup)
    }

    /// Whoever waits for the list of a stream that is made on demand wants all of it.
    async fn want_all(&self, client: &Client) -> Result<(), JobError> {
        if !registry().find(&self.task).is_some_and(TaskDescriptor::is_on_demand) {
            return Ok(());
        }
        let reports = client.reports("items").map_err(|error| self.unreachable(&error))?;
        patiently(self.job, || reports.pull(self.job, ALL_ITEMS)).await
    }

    /// Reads what the store said of the job already.
    pub(crate) fn answer_of(&self, lookup: Lookup) -> Result<T, JobError> {
        self.check_kept()?;
        self.read(lookup)
    }

    fn check_kept(&self) -> Result<(), JobError> {
        if !matches!(self.source, HandleSource::Ignored(_)) {
            return Ok(());
        }
        Err(JobError::ignored(self.job))
    }

    fn unknown(&self) -> JobError {
        let client = self.client().ok().flatten();
        let why = client.as_ref().and_then(Client::why_unknown);
        match why {
            Some(reason) => JobError::NotKept { job: self.job, reason: reason.to_owned() },
            None => JobError::unknown(self.job),
        }
    }

    fn read(&self, lookup: Lookup) -> Result<T, JobError> {
        let job = self.job;
        let outcome = match lookup {
            Lookup::Final(outcome) => *outcome,
            Lookup::Pending(_) => return Err(JobError::NotYet { job, waited: Duration::ZERO }),
            Lookup::Unknown => return Err(self.unknown()),
        };
        match outcome.error() {
            Some(error) => Err(error),
            None => decode_result::<T>(job, outcome.task, outcome.result.as_ref()),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Handle<Vec<T>> {
    /// The items of a task that returns a stream, one by one: those that are there, then the
    /// others as they are made. Every reader gets all of them, early or late.
    ///
    /// A failure is the last item. If an attempt fails midway and the job is tried again,
    /// [`JobError::Restarted`] comes in between, and then all items of the new attempt.
    ///
    /// Of a task that returns a list, its elements, once it is done.
    pub fn stream(&self) -> ItemStream<T> {
        if let HandleSource::Known(lookup) = &self.source {
            return ItemStream::known((**lookup).clone(), self.job, self.task.to_string());
        }
        match self.reader() {
            Ok(reader) => ItemStream::of(reader),
            Err(error) => ItemStream::error(error),
        }
    }

    /// Delays a call that follows each item, as [`Call::then_each`] does: late or early, once for
    /// each item. The handle yields how many there were.
    ///
    /// # Errors
    ///
    /// [`DelayError`].
    pub async fn then_each<U, R, P>(
        &self,
        follow: impl FnOnce(Handle<T>) -> Call<U, R, P>,
    ) -> Result<Handle<u64>, DelayError> {
        let call = follow_each(self.job, &self.task, follow);
        let option = |reason| DelayError::Option { task: self.task.to_string(), reason };
        let call = call.map_err(option)?;
        match &self.source {
            HandleSource::Store(client) => call.delay_on(client).await,
            HandleSource::Ignored(_) => Err(option(NEEDS_ITEMS.to_owned())),
            _ => call.delay().await,
        }
    }

    fn reader(&self) -> Result<Reader, JobError> {
        self.check_kept()?;
        let Some(client) = self.client()? else { return Err(JobError::unknown(self.job)) };
        let reports = client.reports("items").map_err(|error| self.unreachable(&error))?.clone();
        Ok(Reader::new(client, reports, self.job, self.task.to_string()))
    }
}

fn decode_result<T: DeserializeOwned + 'static>(
    job: JobId,
    task: String,
    result: Option<&crate::payload::Payload>,
) -> Result<T, JobError> {
    let wanted = std::any::type_name::<T>();
    let linked = registry().find(&task);
    if linked.is_some_and(|linked| (linked.output)() != TypeId::of::<T>()) {
        let reason = format!("the task does not return `{wanted}`");
        return Err(JobError::Unreadable { job, task, reason });
    }
    // A task that returns `()` stores no result, and JSON's form of `()` is `null`.
    let bytes = result.map_or(b"null".as_slice(), |payload| payload.as_slice());
    Json::decode(bytes).map_err(|error| JobError::Unreadable {
        job,
        task,
        reason: format!("it is no `{wanted}`: {error}"),
    })
}

impl<T: DeserializeOwned + Send + 'static> Future for Handle<T> {
    type Output = Result<T, JobError>;

    fn poll(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => {
                let handle = this.clone();
                this.waiting.insert(SyncWrapper::new(Box::pin(handle.answer())))
            }
        };
        let answer = std::task::ready!(waiting.get_mut().as_mut().poll(waker));
        this.waiting = None;
        Poll::Ready(answer)
    }
}

impl<T> Clone for Handle<T> {
    /// Another handle of the same job, which starts to wait anew.
    fn clone(&self) -> Self {
        Self::new(self.job, self.task.clone(), self.source.clone())
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({} {})", self.task, self.job)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Handle")]
struct Wire<'a> {
    job: JobId,
    task: Cow<'a, str>,
}

impl<T> Serialize for Handle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire { job: self.job, task: Cow::Borrowed(&self.task) }.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Handle<T> {
    /// Reads through whatever client is current when it is awaited.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { job, task } = Wire::deserialize(deserializer)?;
        Ok(Self::new(job, Cow::Owned(task.into_owned()), HandleSource::Unbound))
    }
}
