//! [`Worker`]: owns the order in which its parts start and stop.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use taskcore::broker::{Broker, BrokerError, Guarded};
use taskcore::{Client, Mode, QueueName, Registry, Start, StartHook, StateMap, TaskDescriptor};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Exit, QueueConfig, WorkerConfig};
use crate::dispatch::{Dispatch, Waiting};
use crate::error::WorkerError;
use crate::execute::Executor;
use crate::fetch::Fetch;
use crate::hand::Hand;
use crate::heartbeat::Heartbeat;
use crate::parts::{Alarm, Leaving, Parts};
use crate::readers::Readers;
use crate::reporter::{Desk, Reporter};
use crate::schedules::Ticker;
use crate::settle::{BATCH, Settler};
use crate::shutdown::Shutdown;
use crate::status::Status;
use crate::upkeep;
use crate::watchdog::Watchdog;

/// Runs jobs of one client's broker.
///
/// ```text
/// fetch ──deliveries──▶ execute (N at once) ──verdicts──▶ settle ──▶ broker
///   ▲                      │                                 │
///   └────── room ──────────┴──── Hand: what is held ─────────┘
///                                 ▲ heartbeat (own thread), upkeep and ticker beside
/// ```
pub struct Worker {
    client: Client,
    config: Arc<WorkerConfig>,
    registry: Arc<Registry>,
    states: StateMap,
    hooks: Vec<&'static StartHook>,
    start_check: StartCheck,
    status: Arc<Status>,
}

/// Sets up a [`Worker`].
pub struct WorkerBuilder {
    client: Client,
    config: WorkerConfig,
    registry: Registry,
    states: StateMap,
    hooks: Vec<&'static StartHook>,
    start_check: StartCheck,
}

/// Whether a worker checks at its start that every task's state is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartCheck {
    /// A worker of a fleet must not take jobs that it cannot run.
    Strict,
    /// A test runs what it delayed; a task without its state fails with the remedy.
    None,
}

impl WorkerBuilder {
    /// Replaces the configuration.
    #[must_use]
    pub fn config(mut self, config: WorkerConfig) -> Self {
        self.config = config;
        self
    }

    /// Serves these queues.
    #[must_use]
    pub fn serve(mut self, queues: impl IntoIterator<Item = QueueConfig>) -> Self {
        self.config.queues = queues.into_iter().collect();
        self
    }

    /// Stops once nothing is due and nothing runs.
    #[must_use]
    pub fn burst(mut self) -> Self {
        self.config.exit = Exit::Drained;
        self
    }

    /// Runs only these tasks instead of all that are linked.
    #[must_use]
    pub fn tasks(mut self, tasks: impl IntoIterator<Item = &'static TaskDescriptor>) -> Self {
        self.registry = Registry::new(tasks);
        self
    }

    /// Provides a value for `State<T>` parameters, before the start hooks run.
    #[must_use]
    pub fn provide<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Leaves out the linked start hooks.
    #[must_use]
    pub fn without_hooks(mut self) -> Self {
        self.hooks.clear();
        self
    }

    /// Provides these values, and skips the hooks and the check that every task's state is
    /// there.
    #[cfg(feature = "testing")]
    pub(crate) fn for_test(mut self, states: StateMap) -> Self {
        self.states = states;
        self.hooks.clear();
        self.start_check = StartCheck::None;
        self
    }

    /// The worker.
    #[must_use]
    pub fn build(self) -> Worker {
        let Self { client, mut config, registry, states, hooks, start_check } = self;
        if config.queues.is_empty() {
            config.queues = queues_of(&registry);
        }
        Worker {
            client,
            config: Arc::new(config),
            registry: Arc::new(registry),
            states,
            hooks,
            start_check,
            status: Arc::default(),
        }
    }
}

impl Worker {
    /// Sets up a worker for the jobs of this client's broker and all linked tasks.
    #[must_use]
    pub fn builder(client: Client) -> WorkerBuilder {
        WorkerBuilder {
            client,
            config: WorkerConfig::default(),
            registry: Registry::new(taskcore::registry().tasks()),
            states: StateMap::default(),
            hooks: StartHook::linked(),
            start_check: StartCheck::Strict,
        }
    }

    /// What this worker says of itself, also while it runs.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// How it works: the defaults filled in.
    #[cfg(feature = "cli")]
    pub(crate) fn config(&self) -> Arc<WorkerConfig> {
        self.config.clone()
    }

    /// Works until it is asked to stop, or until its exit condition holds.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]: it refused to start, or every slot is stuck. Errors of jobs, and a
    /// broker that does not answer for a while, end no worker.
    ///
    /// # Cancel safety
    ///
    /// Dropped midway, its jobs run again when their leases end. Ask for a stop instead.
    pub async fn run(self, shutdown: &Shutdown) -> Result<(), WorkerError> {
        let broker = self.checked_broker()?;
        self.check_timeouts(&broker)?;
        let states = tokio::select! {
            states = self.run_hooks() => states?,
            // A hook may wait for something that never comes; nothing was taken yet.
            () = shutdown.requested() => return Ok(()),
        };
        self.check_states(&states)?;
        let ticker = self.ticker(&broker)?;
        if let Some(ticker) = &ticker {
            tokio::select! {
                caught_up = self.catch_up(ticker) => caught_up?,
                () = shutdown.requested() => return Ok(()),
            }
        }
        let stop = shutdown.stop_token().child_token();
        let watchdog = match self.config.ends_when_stuck {
            true => {
                let watchdog = Watchdog::start(&self.config, self.status.clone(), stop.clone());
                Some(watchdog.map_err(WorkerError::Thread)?)
            }
            false => None,
        };
        let hand = Arc::<Hand>::default();
        let heartbeat = Heartbeat::start(broker.clone(), hand.clone(), self.config.lease).await?;
        let tasks = self.registry.tasks().count();
        let queues: Vec<_> = self.config.queues.iter().map(ToString::to_string).collect();
        tracing::info!(
            target: "hereafter::worker",
            worker = self.config.name,
            broker = broker.name(),
            concurrency = self.config.concurrency,
            queues = queues.join(","),
            tasks,
            "worker started"
        );
        let parts =
            self.start_parts(&broker, &hand, states, ticker, Ends { stop, watchdog, shutdown });
        let leaving = Leaving {
            hand: hand.clone(),
            stop: parts.stop.clone(),
            abort: parts.abort.clone(),
            last: parts.last.clone(),
        };
        let ended = parts.run(&self.config, &hand, shutdown).await;
        drop(leaving);
        heartbeat.stop().await;
        tracing::info!(target: "hereafter::worker", worker = self.config.name, "worker stopped");
        ended
    }

    fn checked_broker(&self) -> Result<Guarded, WorkerError> {
        if let Some(duplicate) = self.registry.duplicates().first() {
            return Err(WorkerError::DuplicateTask(duplicate.clone()));
        }
        if self.registry.tasks().next().is_none() {
            return Err(WorkerError::NoTasks);
        }
        match (self.client.mode(), self.client.connection()) {
            (Mode::Normal, Some(open)) => Ok(Guarded::new(open.broker.clone())),
            (mode, _) => Err(WorkerError::NotConnected { mode: mode.as_str() }),
        }
    }

    /// Tasks that may run longer than the broker lets them would be run twice at once.
    fn check_timeouts(&self, broker: &Guarded) -> Result<(), WorkerError> {
        let Some(longest) = broker.capabilities().longest_run else { return Ok(()) };
        let is_longer = |timeout: Duration| timeout > longest;
        match self.registry.tasks().find(|task| task.options.timeout.is_some_and(is_longer)) {
            None => Ok(()),
            Some(task) => Err(WorkerError::LongTask {
                task: task.name,
                timeout: task.options.timeout.unwrap_or_default(),
                broker: broker.name(),
                longest,
            }),
        }
    }

    async fn run_hooks(&self) -> Result<StateMap, WorkerError> {
        let mut start = Start::new(self.client.clone(), self.states.clone());
        for hook in &self.hooks {
            tracing::debug!(target: "hereafter::worker", hook = hook.name, "running a start hook");
            let run = self.client.scope((hook.run)(&mut start));
            run.await.map_err(|source| WorkerError::Hook { hook: hook.name, source })?;
        }
        Ok(start.into_states())
    }

    fn check_states(&self, states: &StateMap) -> Result<(), WorkerError> {
        if self.start_check == StartCheck::None {
            return Ok(());
        }
        for task in self.registry.tasks() {
            for need in task.states {
                if !states.has((need.type_id)()) {
                    let (task, state) = (task.name, (need.type_name)());
                    return Err(WorkerError::MissingState { task, state });
                }
            }
        }
        Ok(())
    }

    /// The schedules of the store. Tasks that declare some need a store that keeps them.
    fn ticker(&self, broker: &Guarded) -> Result<Option<Ticker>, WorkerError> {
        let open = self.client.connection().and_then(|open| open.schedules.clone());
        let broker = broker.name();
        match open {
            Some(schedules) => Ok(Some(Ticker { schedules, broker })),
            None if self.registry.tasks().any(|task| task.schedule.is_some()) => {
                Err(BrokerError::Unsupported { broker, operation: "schedules" }.into())
            }
            None => Ok(None),
        }
    }

    /// Stores the declared schedules, and makes jobs of what ticked while nobody was there, so
    /// that they are due for a worker that drains.
    async fn catch_up(&self, ticker: &Ticker) -> Result<(), WorkerError> {
        if self.start_check == StartCheck::Strict {
            ticker.declare(&self.registry).await?;
        }
        if self.config.exit == Exit::Drained {
            ticker.catch_up().await?;
        }
        Ok(())
    }

    fn start_parts(
        &self,
        broker: &Guarded,
        hand: &Arc<Hand>,
        states: StateMap,
        ticker: Option<Ticker>,
        ends: Ends<'_>,
    ) -> Parts {
        let (config, status) = (self.config.clone(), self.status.clone());
        let Ends { stop, watchdog, shutdown } = ends;
        let abort = shutdown.abort_token().child_token();
        let (batches, incoming) = mpsc::channel(1);
        let (concluded, verdicts) = mpsc::channel(BATCH);
        let (all_stuck, alarm) = (CancellationToken::new(), Alarm::default());
        let slots = config.concurrency.get() as usize;
        let fetch = Fetch {
            broker: broker.clone(),
            config: config.clone(),
            hand: hand.clone(),
            status: status.clone(),
            stop: stop.clone(),
            batches,
        };
        let open = self.client.connection().and_then(|open| open.reports.clone());
        let reporting = open.map(|reports| (reports, Arc::<Desk>::default()));
        let readers = Arc::<Readers>::default();
        let executor = Executor {
            client: self.client.clone(),
            registry: self.registry.clone(),
            states,
            config: config.clone(),
            status: status.clone(),
            stop: stop.clone(),
            abort: abort.clone(),
            all_stuck: all_stuck.clone(),
            desk: reporting.as_ref().map(|(_, desk)| desk.clone()),
            readers: readers.clone(),
            watchdog,
            longest_run: broker.capabilities().longest_run,
        };
        let dispatch = Dispatch {
            broker: broker.clone(),
            executor,
            hand: hand.clone(),
            stop: stop.clone(),
            abort: abort.clone(),
            concluded,
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Waiting::default(),
            asking: AtomicUsize::new(0),
            suspects: Arc::new(Semaphore::new(1)),
            set_aside: Arc::new(Semaphore::new(slots)),
            running: TaskTracker::new(),
        };
        let running = dispatch.running.clone();
        let settler = Settler { broker: broker.clone(), hand: hand.clone(), status };
        let upkeep = upkeep::run(broker.clone(), config, stop.clone());
        let last = CancellationToken::new();
        let reporter = reporting.map(|(reports, desk)| {
            let reporter = Reporter { reports, desk, hand: hand.clone() };
            alarm.spawn("reporter", reporter.run(readers, last.clone()))
        });
        let ticker = ticker.map(|ticker| alarm.spawn("ticker", ticker.run(stop.clone())));
        Parts {
            fetch: alarm.spawn("fetch loop", fetch.run()),
            dispatch: alarm.spawn("dispatcher", Arc::new(dispatch).run(incoming)),
            settler: alarm.spawn("settler", settler.run(verdicts)),
            upkeep: alarm.spawn("upkeep", upkeep),
            ticker,
            reporter,
            last,
            running,
            stop,
            abort,
            all_stuck,
            alarm,
        }
    }
}

/// What ends a worker.
struct Ends<'a> {
    stop: CancellationToken,
    /// `None` where a worker goes on with the slots that it has left.
    watchdog: Option<Arc<Watchdog>>,
    shutdown: &'a Shutdown,
}

/// `default`, and the queues that these tasks name.
fn queues_of(registry: &Registry) -> Vec<QueueConfig> {
    let named = registry.tasks().filter_map(|task| QueueName::new(task.options.queue).ok());
    let queues: BTreeSet<QueueName> = named.chain([QueueName::DEFAULT]).collect();
    queues.into_iter().map(QueueConfig::new).collect()
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
