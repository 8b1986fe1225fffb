//! [`Waiters`]: all handles of a client wait together.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};
use crate::error::{JobError, error_chain};
use crate::id::JobId;

/// Waits for many jobs with one question at a time: which jobs ended since the last answer.
///
/// Like the enqueuer, its task lives only while somebody waits, and each runtime has its own.
pub(super) struct Waiters {
    store: Option<Arc<dyn ResultStore>>,
    /// A runtime is in it while it has a task that watches.
    states: Mutex<HashMap<Id, State>>,
}

/// Who waits on one runtime.
#[derive(Default)]
struct State {
    /// Not looked up yet.
    fresh: Vec<JobId>,
    waiting: HashMap<JobId, Vec<Answer>>,
    /// Rings when a handle starts to wait.
    joined: Arc<Notify>,
}

type Answer = oneshot::Sender<Result<Lookup, JobError>>;

/// One question for ended jobs waits this long; wake-ups end it sooner.
const WATCH: Duration = Duration::from_secs(5);

/// Wake-ups are hints, so every job is looked up again once in this time.
const RECHECK: Duration = Duration::from_secs(5);

/// Jobs in one look-up.
const CHUNK: usize = 1_000;

/// How long an unreachable store is asked again before the waiting handles are told.
const PATIENCE: Duration = Duration::from_secs(30);

impl Waiters {
    pub(super) fn new(store: Option<Arc<dyn ResultStore>>) -> Self {
        Self { store, states: Mutex::default() }
    }

    /// Waits until `job` is final, or unknown to the store.
    pub(super) async fn wait_for(self: &Arc<Self>, job: JobId) -> Result<Lookup, JobError> {
        let Some(store) = self.store.clone() else {
            let reason = "this set-up keeps no results; add a result store".to_owned();
            return Err(JobError::NotKept { job, reason });
        };
        loop {
            let runtime = Handle::current();
            let answered = self.join(&runtime, &store, job);
            tokio::select! {
                biased;
                () = moved_from(runtime.id()) => {}
                answer = answered => return answer.unwrap_or_else(|_| {
                    let reason = "the runtime that was watching for results has stopped".to_owned();
                    Err(JobError::Unreachable { job, reason })
                }),
            }
        }
    }

    /// Adds a waiting handle, and a task that watches if there is none on this runtime.
    fn join(
        self: &Arc<Self>,
        runtime: &Handle,
        store: &Arc<dyn ResultStore>,
        job: JobId,
    ) -> oneshot::Receiver<Result<Lookup, JobError>> {
        let (answer, answered) = oneshot::channel();
        let mut states = self.lock();
        let (state, is_first) = match states.entry(runtime.id()) {
            Entry::Occupied(state) => (state.into_mut(), false),
            Entry::Vacant(state) => (state.insert(State::default()), true),
        };
        state.fresh.push(job);
        state.waiting.entry(job).or_default().push(answer);
        let joined = state.joined.clone();
        // A runtime that stops drops the task at once, and that needs the lock.
        drop(states);
        if is_first {
            let waiters = self.clone();
            let watching = Watching { waiters, runtime: runtime.id(), joined, is_over: false };
            runtime.spawn(watch(store.clone(), watching));
        } else {
            joined.notify_one();
        }
        answered
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when it is polled on another runtime than this: a handle may be awaited here with a
/// time-out, and there once more, and then nobody drives what watches here.
async fn moved_from(runtime: Id) {
    std::future::poll_fn(|_| match Handle::current().id() == runtime {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

/// The right to watch for a runtime; see `Sending` of the enqueuer.
struct Watching {
    waiters: Arc<Waiters>,
    runtime: Id,
    joined: Arc<Notify>,
    is_over: bool,
}

impl Watching {
    /// Jobs that nobody looked up yet; `None`, and the right given back, if nobody waits.
    fn fresh(&mut self) -> Option<Vec<JobId>> {
        let mut states = self.waiters.lock();
        if let Some(state) = states.get_mut(&self.runtime) {
            state.waiting.retain(|_, answers| {
                answers.retain(|answer| !answer.is_closed());
                !answers.is_empty()
            });
            if !state.waiting.is_empty() {
                return Some(std::mem::take(&mut state.fresh));
            }
        }
        states.remove(&self.runtime);
        self.is_over = true;
        None
    }

    /// Those of `ended` that somebody waits for.
    fn wanted(&self, ended: Vec<JobId>) -> Vec<JobId> {
        let states = self.waiters.lock();
        let Some(state) = states.get(&self.runtime) else { return Vec::new() };
        ended.into_iter().filter(|job| state.waiting.contains_key(job)).collect()
    }

    /// All jobs that somebody waits for, also those that nobody looked up yet.
    fn all(&self) -> Vec<JobId> {
        let mut states = self.waiters.lock();
        let Some(state) = states.get_mut(&self.runtime) else { return Vec::new() };
        state.fresh.clear();
        state.waiting.keys().copied().collect()
    }

    fn answer(&self, job: JobId, answer: &Result<Lookup, JobError>) {
        let answers = {
            let mut states = self.waiters.lock();
            states.get_mut(&self.runtime).and_then(|state| state.waiting.remove(&job))
        };
        for waiting in answers.unwrap_or_default() {
            // A handle that was dropped meanwhile wants no answer.
            let _ = waiting.send(answer.clone());
        }
    }

    fn fail_all(&self, error: &BrokerError) {
        let reason = error_chain(error);
        for job in self.all() {
            self.answer(job, &Err(JobError::Unreachable { job, reason: reason.clone() }));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if !self.is_over {
            self.waiters.lock().remove(&self.runtime);
        }
    }
}

async fn watch(store: Arc<dyn ResultStore>, mut watching: Watching) {
    let mut failing_since: Option<Instant> = None;
    let mut watch = Watch { cursor: None, checked: Instant::now(), question: None };
    while let Some(fresh) = watching.fresh() {
        let Err(error) = watch.round(&store, &watching, fresh).await else {
            failing_since = None;
            continue;
        };
        let since = *failing_since.get_or_insert_with(Instant::now);
        if !error.is_transient() || since.elapsed() > PATIENCE {
            watching.fail_all(&error);
            failing_since = None;
        }
        tracing::warn!(target: "hereafter", error = error_chain(&error), "cannot look for results");
        watch = Watch { cursor: None, checked: Instant::now(), question: None };
        let pause = 100 + u64::from(rand::random::<u8>());
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// One watch over the store, from its first look on.
struct Watch {
    /// `None` before the first answer: then everything is looked up.
    cursor: Option<Cursor>,
    checked: Instant,
    /// The question under way. It is never dropped midway, only left to run.
    question: Option<JoinHandle<Result<Finished, BrokerError>>>,
}

impl Watch {
    async fn round(
        &mut self,
        store: &Arc<dyn ResultStore>,
        watching: &Watching,
        fresh: Vec<JobId>,
    ) -> Result<(), BrokerError> {
        let Some(cursor) = self.cursor else {
            // The cursor first, then the look-up: a job that ends in between is seen twice
            // rather than never.
            self.cursor = Some(store.finished(None, Duration::ZERO).await?.next);
            return look_up(store, watching, watching.all()).await;
        };
        look_up(store, watching, fresh).await?;
        if self.checked.elapsed() >= RECHECK {
            self.checked = Instant::now();
            look_up(store, watching, watching.all()).await?;
        }
        let question = self.question.get_or_insert_with(|| {
            let store = store.clone();
            tokio::spawn(async move { store.finished(Some(cursor), WATCH).await })
        });
        tokio::select! {
            answer = question => {
                self.question = None;
                let finished = answer.unwrap_or_else(|error| Err(BrokerError::Unavailable {
                    broker: "result store",
                    source: Box::new(error),
                }))?;
                self.cursor = Some(finished.next);
                look_up(store, watching, watching.wanted(finished.ids)).await
            }
            () = watching.joined.notified() => Ok(()),
        }
    }
}

async fn look_up(
    store: &Arc<dyn ResultStore>,
    watching: &Watching,
    jobs: Vec<JobId>,
) -> Result<(), BrokerError> {
    let unique: HashSet<JobId> = jobs.into_iter().collect();
    let jobs: Vec<JobId> = unique.into_iter().collect();
    for chunk in jobs.chunks(CHUNK) {
        let found = store.outcomes(chunk).await?;
        for (job, lookup) in chunk.iter().zip(found) {
            if !matches!(lookup, Lookup::Pending(_)) {
                watching.answer(*job, &Ok(lookup));
            }
        }
    }
    Ok(())
}
