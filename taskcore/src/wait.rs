//! Waiting on many handles.
//!
//! A handle is a future, so whatever takes futures takes handles: `join_all`, `select`,
//! `timeout`. However many wait, their client asks its store for all of them at once.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::stream::{FuturesOrdered, FuturesUnordered, Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::broker::{CancelScope, Lookup};
use crate::client::Client;
use crate::error::{JobError, error_chain};
use crate::handle::Handle;
use crate::id::JobId;

/// The handles with their answers, each as soon as its job has ended.
pub fn as_completed<T>(
    handles: impl IntoIterator<Item = Handle<T>>,
) -> impl Stream<Item = (Handle<T>, Result<T, JobError>)> + Send + Unpin
where
    T: DeserializeOwned + Send + 'static,
{
    let wait = |handle: Handle<T>| async move {
        let answer = handle.clone().await;
        (handle, answer)
    };
    handles.into_iter().map(|handle| Box::pin(wait(handle))).collect::<FuturesUnordered<_>>()
}

/// The answers of the handles, in their order.
pub fn map<T>(
    handles: impl IntoIterator<Item = Handle<T>>,
) -> impl Stream<Item = Result<T, JobError>> + Send + Unpin
where
    T: DeserializeOwned + Send + 'static,
{
    handles.into_iter().collect::<FuturesOrdered<_>>()
}

/// The answers of the handles, in their order, as far as they come within `limit` from now.
///
/// When the time is over, the jobs whose turn has not come are cancelled, and each answers
/// with [`JobError::NotYet`], unless it had ended by then.
pub fn map_within<T>(
    handles: impl IntoIterator<Item = Handle<T>>,
    limit: Duration,
) -> impl Stream<Item = Result<T, JobError>> + Send + Unpin
where
    T: DeserializeOwned + Send + 'static,
{
    let handles: VecDeque<Handle<T>> = handles.into_iter().collect();
    let answers = handles.iter().cloned().collect();
    let ends = Instant::now() + limit;
    let found = HashMap::new();
    let within = Within { answers, handles, limit, ends, is_over: false, found };
    Box::pin(futures::stream::unfold(within, Within::next))
}

/// A wait for answers in order, with an end.
struct Within<T: DeserializeOwned + Send + 'static> {
    answers: FuturesOrdered<Handle<T>>,
    /// Those that have not answered.
    handles: VecDeque<Handle<T>>,
    limit: Duration,
    ends: Instant,
    is_over: bool,
    /// What the store said of them when the time was over.
    found: HashMap<JobId, Lookup>,
}

/// Jobs in one cancel.
const CANCEL: usize = 1_000;

impl<T: DeserializeOwned + Send + 'static> Within<T> {
    async fn next(mut self) -> Option<(Result<T, JobError>, Self)> {
        if !self.is_over {
            match tokio::time::timeout_at(self.ends, self.answers.next()).await {
                Ok(answer) => {
                    self.handles.pop_front();
                    return answer.map(|answer| (answer, self));
                }
                Err(_) => {
                    self.is_over = true;
                    self.give_up().await;
                }
            }
        }
        let handle = self.handles.pop_front()?;
        let answer = match self.found.get(&handle.id()) {
            // It may be a job of another store than the first one's.
            None | Some(Lookup::Unknown) => handle.wait(Duration::ZERO).await,
            Some(lookup) => handle.answer_of(lookup.clone()),
        };
        let answer = match answer {
            Err(JobError::Cancelled { job, .. }) => {
                Err(JobError::NotYet { job, waited: self.limit })
            }
            Err(JobError::NotYet { job, .. }) => Err(JobError::NotYet { job, waited: self.limit }),
            answer => answer,
        };
        Some((answer, self))
    }

    /// Cancels what is late, and looks all of it up at once.
    async fn give_up(&mut self) {
        let Some(client) = self.handles.iter().find_map(|handle| handle.client().ok().flatten())
        else {
            return;
        };
        let jobs: Vec<_> = self.handles.iter().map(Handle::id).collect();
        cancel(&client, &jobs).await;
        match client.outcomes(&jobs).await {
            Ok(found) => self.found = found,
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(target: "hereafter", error, "cannot look for the jobs that are late");
            }
        }
    }
}

async fn cancel(client: &Client, jobs: &[JobId]) {
    for jobs in jobs.chunks(CANCEL) {
        if let Err(error) = client.cancel(jobs, CancelScope::WithInputs).await {
            let error = error_chain(&error);
            tracing::warn!(target: "hereafter", error, "cannot cancel the jobs that are late");
            return;
        }
    }
}
