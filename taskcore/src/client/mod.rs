//! [`Client`]: what applications delay calls through.

mod default;
mod eager;
mod enqueuer;
mod events;
mod graph;
mod mode;
mod unique;
mod waiter;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

pub use default::{connect, set_default};
pub use events::{EventStream, Followed};
pub use mode::{InvalidMode, Mode, Switch};

use crate::broker::{
    BrokerError, CancelOutcome, CancelScope, Connection, Due, Guarded, History, JobFilter,
    JobRecord, Lookup, NewJob, Operate, ReadItems, Reports, ResultStore, TaskStats, Template,
};
use crate::call::Call;
use crate::continuation::Continuation;
use crate::error::{DelayError, JobError};
use crate::handle::Handle;
use crate::id::JobId;
use crate::ledger::Ledger;
use crate::options::CallOptions;
use crate::outlet::Collector;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::reader::patiently;
use crate::scope;
use crate::trace::TraceParent;
use enqueuer::Enqueuer;
use graph::{Graph, Made};
use unique::Standing;

pub(crate) use graph::Root;
use waiter::Waiters;

/// What applications delay calls through. A clone shares it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mode,
    /// `None` only if the mode stores nothing.
    connection: Option<Connection>,
    enqueuer: Enqueuer,
    waiters: Arc<Waiters>,
    payload_limit: usize,
    trace_source: Option<fn() -> Option<TraceParent>>,
}

/// Sets up a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    mode: Mode,
    connection: Option<Connection>,
    payload_limit: usize,
    trace_source: Option<fn() -> Option<TraceParent>>,
}

impl ClientBuilder {
    /// Runs delayed calls at once, or only logs them.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The largest job, in bytes of its stored form; 1 MiB by default.
    #[must_use]
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// Asks this function for the trace of jobs delayed outside of a job; for bridges to tracing
    /// systems.
    #[must_use]
    pub fn trace_source(mut self, source: fn() -> Option<TraceParent>) -> Self {
        self.trace_source = Some(source);
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        let Self { mode, connection, payload_limit, trace_source } = self;
        let broker = connection.as_ref().map(|open| Guarded::new(open.broker.clone()));
        let results = connection.as_ref().and_then(|open| open.results.clone());
        let shared = Shared {
            mode,
            connection,
            enqueuer: Enqueuer::new(broker.map(Arc::new)),
            waiters: Arc::new(Waiters::new(results)),
            payload_limit,
            trace_source,
        };
        Client { shared: Arc::new(shared) }
    }
}

/// Where jobs are stored.
enum Place<'a> {
    /// Through this client's own connection.
    Own,
    /// In what somebody else commits.
    Ledger(&'a mut dyn Ledger),
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    All,
    /// Its calls are to be planned anew, around jobs that hold their unique keys.
    NotYet,
}

/// What continues a job, ready to be stored; see [`Client::continuing`].
#[derive(Debug)]
pub struct Continued {
    /// The jobs to store.
    pub jobs: Vec<NewJob>,
    /// The job that the other one ends as.
    pub by: JobId,
}

/// Jobs in one look-up.
const OUTCOMES: usize = 1_000;

/// Jobs in one batch of those that may be there already.
const STORED_AGAIN: usize = 1_000;

/// Items in one page of a stream.
const ITEMS: u32 = 10_000;

impl Client {
    /// The largest job by default, in bytes of its stored form.
    pub const PAYLOAD_LIMIT: usize = 1024 * 1024;

    /// A client of this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self::builder(connection).build()
    }

    /// Sets up a client of this connection.
    #[must_use]
    pub fn builder(connection: Connection) -> ClientBuilder {
        ClientBuilder {
            mode: Mode::Normal,
            connection: Some(connection),
            payload_limit: Self::PAYLOAD_LIMIT,
            trace_source: None,
        }
    }

    /// A client that runs delayed calls here at once; see [`Mode::Eager`].
    #[must_use]
    pub fn eager() -> Self {
        Self::without_store(Mode::Eager)
    }

    /// A client that stores nothing and runs nothing; see [`Mode::Disabled`].
    #[must_use]
    pub fn disabled() -> Self {
        Self::without_store(Mode::Disabled)
    }

    fn without_store(mode: Mode) -> Self {
        let payload_limit = Self::PAYLOAD_LIMIT;
        ClientBuilder { mode, connection: None, payload_limit, trace_source: None }.build()
    }

    /// Whether it stores, runs at once, or only logs.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared.mode
    }

    /// The connection; `None` if the mode stores nothing.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.shared.connection.as_ref()
    }

    /// Runs a future in which `.delay()` uses this client.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        let mut scope = scope::current();
        scope.client = Some(self.clone());
        scope.run(future).await
    }

    /// A handle of a job that is known by its id.
    ///
    /// A wrong `T` is an error that names the task, when the handle is awaited.
    #[must_use]
    pub fn handle<T: DeserializeOwned + Send + 'static>(&self, id: JobId) -> Handle<T> {
        Handle::of_id(id, self.clone())
    }

    /// Stores many calls in one batch: all or none. Handles come in order.
    ///
    /// A batch is at most [`Capabilities::max_batch`](crate::broker::Capabilities::max_batch)
    /// jobs, those of calls inside of calls counted: 50,000 on SQLite, 100,000 in memory. A
    /// client that is eager or disabled stores nothing, and takes them one by one.
    ///
    /// # Errors
    ///
    /// [`DelayError::TooMany`] above that, or [`DelayError`] of the first call that cannot be
    /// stored; then none is.
    pub async fn delay_all<T, R, P>(
        &self,
        calls: impl IntoIterator<Item = Call<T, R, P>>,
    ) -> Result<Vec<Handle<T>>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        if self.shared.mode != Mode::Normal {
            let calls: Vec<_> = calls.into_iter().collect();
            let mut handles = Vec::with_capacity(calls.len());
            for call in calls {
                handles.push(self.store(call, Due::Now).await?);
            }
            return Ok(handles);
        }
        self.store_all(calls, Place::Own).await
    }

    /// The same through a ledger: many calls, all or none, if and when its owner commits. For broker
    /// crates.
    ///
    /// # Errors
    ///
    /// As for [`delay_all`](Self::delay_all), and [`DelayError::Option`] if this client stores nothing.
    pub async fn delay_all_through<T, R, P>(
        &self,
        calls: impl IntoIterator<Item = Call<T, R, P>>,
        ledger: &mut dyn Ledger,
    ) -> Result<Vec<Handle<T>>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        let calls: Vec<_> = calls.into_iter().collect();
        if self.shared.mode == Mode::Disabled {
            return self.delay_all(calls).await;
        }
        if let Some(call) = calls.first().filter(|_| self.shared.mode == Mode::Eager) {
            let task = call.task().name.to_owned();
            let reason =
                "an eager client runs calls at once, and has no transactions: in tests of \
                          transactions use SQLite"
                    .to_owned();
            return Err(DelayError::Option { task, reason });
        }
        self.store_all(calls, Place::Ledger(ledger)).await
    }

    async fn store_all<T, R, P>(
        &self,
        calls: impl IntoIterator<Item = Call<T, R, P>>,
        mut place: Place<'_>,
    ) -> Result<Vec<Handle<T>>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        let roots = calls.into_iter().map(|call| Root::of(&call));
        let mut roots = roots.collect::<Result<Vec<_>, _>>()?;
        let mut standing = Standing::default();
        loop {
            let mut graph = Graph::around(self, &standing);
            let mut handles = Vec::with_capacity(roots.len());
            for root in &roots {
                handles.push(match root {
                    Root::Plan(plan) => self.handle_of(&graph.add(plan, Due::Now)?, &plan.options),
                    Root::Job(job, source, options) => {
                        graph.follow(options, self.trace())?;
                        Handle::of_source(*job, source.clone())
                    }
                });
            }
            if !graph.may_reuse() {
                roots.clear();
            }
            let jobs = graph.into_jobs()?;
            if self.store_jobs(jobs, &mut standing, &mut place).await? == Stored::All {
                return Ok(handles);
            }
        }
    }

    /// Stores one call; what `.delay()` and its siblings come to.
    pub(crate) async fn store<T, R, P>(
        &self,
        call: Call<T, R, P>,
        due: Due,
    ) -> Result<Handle<T>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        let plan = match Root::of(&call)? {
            Root::Plan(plan) => plan,
            Root::Job(job, source, options) => {
                drop(call);
                self.follow(&options).await?;
                return Ok(Handle::of_source(job, source));
            }
        };
        // The call is `Send`, but not `Sync`.
        drop(call);
        if self.shared.mode == Mode::Disabled {
            let task = plan.task.name;
            tracing::warn!(target: "hereafter", task, "would have delayed the task, but Hereafter is disabled");
            return Ok(Handle::disabled(JobId::new(), task));
        }
        if self.shared.mode == Mode::Eager {
            let mut graph = Graph::new(self);
            let job = graph.add(&plan, due)?;
            return eager::run(self, graph, &job, due).await.map(Handle::known);
        }
        self.store_planned(plan, due, Place::Own).await
    }

    /// The same through a ledger: stored if and when its owner commits. For broker crates.
    ///
    /// # Errors
    ///
    /// As for [`Call::delay`], and [`DelayError::Option`] if this client stores nothing.
    pub async fn delay_through<T, R, P>(
        &self,
        call: Call<T, R, P>,
        ledger: &mut dyn Ledger,
    ) -> Result<Handle<T>, DelayError>
    where
        T: Send + 'static,
        R: Send + 'static,
        P: 'static,
    {
        let handles = self.delay_all_through([call], ledger).await?;
        Ok(handles.into_iter().next().expect("there is a handle for each call"))
    }

    async fn store_planned<T>(
        &self,
        plan: Box<Plan>,
        due: Due,
        mut place: Place<'_>,
    ) -> Result<Handle<T>, DelayError> {
        let mut standing = Standing::default();
        let mut unstored = Some(plan);
        while let Some(plan) = unstored {
            let mut graph = Graph::around(self, &standing);
            let handle = self.handle_of(&graph.add(&plan, due)?, &plan.options);
            unstored = graph.may_reuse().then_some(plan);
            let jobs = graph.into_jobs()?;
            if self.store_jobs(jobs, &mut standing, &mut place).await? == Stored::All {
                return Ok(handle);
            }
        }
        unreachable!("only what may reuse a job is planned anew")
    }

    /// The jobs that continue a job, and which of them, or of those that are there, it ends as;
    /// for whoever runs tasks.
    ///
    /// # Errors
    ///
    /// [`DelayError`] as for [`Call::delay`].
    pub fn continuing(&self, by: Continuation) -> Result<Continued, DelayError> {
        let mut graph = Graph::new(self);
        let by = match by.0 {
            Root::Plan(plan) => graph.add(&plan, Due::Now)?.id,
            Root::Job(job, _, options) => {
                graph.follow(&options, self.trace())?;
                job
            }
        };
        let jobs = graph.into_jobs()?;
        if self.connection().is_some_and(|open| !open.broker.capabilities().results) {
            return Err(DelayError::NoContinuation { broker: self.broker_name() });
        }
        self.shared.enqueuer.check_size(jobs.len())?;
        if let Some(job) = jobs.iter().find(|job| job.unique.is_some()) {
            let reason = "what continues a job has no unique key: delay it in the task and return \
                          its handle"
                .to_owned();
            return Err(DelayError::Option { task: job.task.to_string(), reason });
        }
        Ok(Continued { jobs, by })
    }

    /// Stores what follows a job that is there.
    async fn follow(&self, options: &CallOptions) -> Result<(), DelayError> {
        let mut standing = Standing::default();
        loop {
            let mut graph = Graph::around(self, &standing);
            graph.follow(options, self.trace())?;
            match self.shared.mode {
                Mode::Normal => {}
                Mode::Eager => return eager::run_all(self, graph).await.map(drop),
                Mode::Disabled => return Ok(()),
            }
            let jobs = graph.into_jobs()?;
            if self.store_jobs(jobs, &mut standing, &mut Place::Own).await? == Stored::All {
                return Ok(());
            }
        }
    }

    /// The job that a call would be, and all that would be stored for it: calls inside of it,
    /// itself, and what follows it. `None` if it is a handle. For the testing kit.
    ///
    /// # Errors
    ///
    /// As for delaying it.
    #[doc(hidden)]
    pub fn would_store<T, R, P>(
        &self,
        call: &Call<T, R, P>,
    ) -> Result<Option<(JobId, Vec<NewJob>)>, DelayError> {
        let Root::Plan(plan) = Root::of(call)? else { return Ok(None) };
        let mut graph = Graph::new(self);
        let job = graph.add(&plan, Due::Now)?.id;
        Ok(Some((job, graph.into_jobs()?)))
    }

    /// Stores jobs in one step, all or none. If none, `standing` knows more.
    async fn store_jobs(
        &self,
        jobs: Vec<NewJob>,
        standing: &mut Standing,
        place: &mut Place<'_>,
    ) -> Result<Stored, DelayError> {
        let enqueuer = &self.shared.enqueuer;
        let answers = match (place, &jobs[..]) {
            (Place::Ledger(ledger), jobs) => {
                enqueuer.check_size(jobs.len())?;
                let task = || jobs.first().map(|job| job.task.to_string()).unwrap_or_default();
                let answers = ledger.enqueue(jobs).await;
                answers
                    .map_err(|error| DelayError::Broker { task: task(), source: Arc::new(error) })?
            }
            // One alone shares its round trip with others of this moment.
            (Place::Own, [job]) => vec![enqueuer.enqueue(job.clone()).await?],
            (Place::Own, _) => {
                enqueuer.check_size(jobs.len())?;
                enqueuer.enqueue_all(&jobs).await?
            }
        };
        let is_anew = standing.learn(&jobs, &answers)?;
        Ok(if is_anew { Stored::NotYet } else { Stored::All })
    }

    /// Stores jobs whose ids say what they are, so that those that are there are passed over.
    pub(crate) async fn store_again(&self, jobs: &[NewJob]) -> Result<(), DelayError> {
        for chunk in jobs.chunks(STORED_AGAIN) {
            self.shared.enqueuer.enqueue_all(chunk).await?;
        }
        Ok(())
    }

    /// What the jobs of a schedule of this call would look like.
    pub(crate) fn template(&self, plan: &Plan) -> Result<Template, DelayError> {
        let mut graph = Graph::new(self);
        graph.add(plan, Due::Now)?;
        let job = graph.into_jobs()?.pop().expect("a call is a job");
        Ok(Template::of_job(job))
    }

    fn handle_of<T>(&self, job: &Made, options: &CallOptions) -> Handle<T> {
        if options.ignore_result {
            Handle::ignored(job.id, job.task.into(), self.clone())
        } else {
            Handle::stored(job.id, job.task.into(), self.clone())
        }
    }

    /// The trace that a new job belongs to: its caller's, or one of its own.
    fn trace(&self) -> TraceParent {
        if let Some(context) = scope::context() {
            return context.trace();
        }
        let asked = self.shared.trace_source.and_then(|source| source());
        asked.unwrap_or_else(TraceParent::root)
    }

    /// The client for a call of this task.
    pub(crate) async fn for_task(task: &'static str) -> Result<Self, DelayError> {
        match Self::current() {
            Some(client) => Ok(client),
            None => default::open_from_env(task).await,
        }
    }

    /// The client of the current scope, else the process default.
    #[must_use]
    pub fn current() -> Option<Self> {
        scope::client().or_else(default::default_client)
    }

    /// Cancels jobs; one answer per id, in order.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], also if this broker cannot cancel.
    pub async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        self.operate("cancel")?.cancel(ids, scope).await
    }

    /// All that the store knows of one job.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], also if this broker cannot list jobs.
    pub async fn record(&self, id: JobId) -> Result<Option<JobRecord>, BrokerError> {
        let filter = JobFilter { ids: Some(vec![id]), ..JobFilter::default() };
        Ok(self.operate("jobs")?.jobs(&filter).await?.pop())
    }

    /// What the store knows, without the items of a stream.
    pub(crate) async fn lookup(&self, id: JobId) -> Result<Lookup, BrokerError> {
        let found = self.results("results")?.outcomes(&[id]).await?;
        Ok(found.into_iter().next().unwrap_or(Lookup::Unknown))
    }

    /// What the store says of jobs that it does not know.
    pub(crate) fn why_unknown(&self) -> Option<&'static str> {
        self.results("results").ok()?.why_unknown()
    }

    /// What the store knows of these jobs, for the arguments of one that waited for them.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], also if this set-up keeps no results.
    pub async fn outcomes(&self, ids: &[JobId]) -> Result<HashMap<JobId, Lookup>, BrokerError> {
        let store = self.results("results")?;
        let mut found = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(OUTCOMES) {
            let lookups = store.outcomes(chunk).await?;
            for (job, lookup) in chunk.iter().zip(lookups) {
                found.insert(*job, self.whole(lookup).await?);
            }
        }
        Ok(found)
    }

    /// Waits until the job is final, or nothing is known of it.
    pub(crate) async fn wait_for(&self, id: JobId) -> Result<Lookup, JobError> {
        let lookup = self.shared.waiters.wait_for(id).await?;
        if streamed(&lookup).is_none() {
            return Ok(lookup);
        }
        patiently(id, || self.whole(lookup.clone())).await
    }

    /// The same, with the items of a stream as its result: a list. Without all of them nothing is
    /// known of it.
    pub(crate) async fn whole(&self, lookup: Lookup) -> Result<Lookup, BrokerError> {
        let Some((job, count)) = streamed(&lookup) else { return Ok(lookup) };
        let Lookup::Final(mut outcome) = lookup else { return Ok(lookup) };
        let Some(items) = self.items(job, count).await? else { return Ok(Lookup::Unknown) };
        outcome.result = Some(items);
        Ok(Lookup::Final(outcome))
    }

    /// All items of a stream that has ended, as one list; `None` if they are no longer there.
    async fn items(&self, job: JobId, count: u64) -> Result<Option<Payload>, BrokerError> {
        let reports = self.reports("items")?;
        let mut list = Collector::default();
        let mut read = ReadItems { job, run: None, from: 0, max: ITEMS };
        while read.from < count {
            let page = reports.items(&read, Duration::ZERO).await?;
            if page.items.is_empty() || page.first != read.from {
                return Ok(None);
            }
            (read.run, read.from) = (page.run, page.first + page.items.len() as u64);
            page.items.into_iter().for_each(|item| list.add(&item));
        }
        Ok(Some(list.array()))
    }

    pub(crate) fn reports(
        &self,
        operation: &'static str,
    ) -> Result<&Arc<dyn Reports>, BrokerError> {
        let open = self.connection().and_then(|open| open.reports.as_ref());
        open.ok_or_else(|| BrokerError::Unsupported { broker: self.broker_name(), operation })
    }

    pub(crate) fn history(
        &self,
        operation: &'static str,
    ) -> Result<&Arc<dyn History>, BrokerError> {
        let open = self.connection().and_then(|open| open.history.as_ref());
        open.ok_or_else(|| BrokerError::Unsupported { broker: self.broker_name(), operation })
    }

    /// Counts and times of every task that was ever stored, by name.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], also if this set-up keeps none.
    pub async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        self.history("stats")?.stats().await
    }

    /// What happens to all jobs of the store, from now on; see [`EventStream`].
    pub fn events(&self) -> EventStream {
        EventStream::new(self.clone())
    }

    fn operate(&self, operation: &'static str) -> Result<&Arc<dyn Operate>, BrokerError> {
        let open = self.connection().and_then(|open| open.operate.as_ref());
        open.ok_or_else(|| BrokerError::Unsupported { broker: self.broker_name(), operation })
    }

    fn results(&self, operation: &'static str) -> Result<&Arc<dyn ResultStore>, BrokerError> {
        let open = self.connection().and_then(|open| open.results.as_ref());
        open.ok_or_else(|| BrokerError::Unsupported { broker: self.broker_name(), operation })
    }

    pub(crate) fn broker_name(&self) -> &'static str {
        self.connection().map_or(self.shared.mode.as_str(), |open| open.broker.name())
    }

    /// Closes the connections, once the broker has finished the calls that it was given.
    ///
    /// Await your `.delay()`s first: one that still waits to share a round trip gets
    /// [`BrokerError::Closed`], and stores nothing.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] if the broker could not be closed in order.
    pub async fn close(&self) -> Result<(), BrokerError> {
        match self.connection() {
            Some(open) => open.broker.close().await,
            None => Ok(()),
        }
    }
}

/// Whose items the result of a job stands for, and how many.
pub(crate) fn streamed(lookup: &Lookup) -> Option<(JobId, u64)> {
    let Lookup::Final(outcome) = lookup else { return None };
    outcome.result.as_ref()?.stream()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.broker_name())
    }
}
