//! [`World`]: one store, its clock, and workers in this process.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hereafter::broker::{
    Broker, Connection, Delivery, Depth, EventKind, JobFilter, JobRecord, Maintain, Operate,
    QueueShare, Reserve, Upkeep,
};
use hereafter::worker::{Shutdown, Snapshot, Status, Worker, WorkerBuilder, WorkerError};
use hereafter::{Client, Clock, Followed, JobId, QueueName};
use taskbroker_amqp::{AmqpBroker, Composed};
use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskbroker_memory::MemoryBroker;
use taskservers::{MariaDb, Postgres};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::folder;
use crate::journal::Journal;
use crate::queues::Queues;

/// One empty store for one test, with a clock that the test moves.
#[derive(Debug)]
pub struct World {
    /// A client of the store; the test runs in its scope.
    pub client: Client,
    /// What tasks with a `State<Journal>` write to.
    pub journal: Journal,
    clock: Clock,
    /// On RabbitMQ.
    queues: Option<Queues>,
    /// Where a store that has a file has it.
    #[expect(dead_code, reason = "it is removed when it is dropped")]
    folder: Option<TempDir>,
}

impl World {
    /// The lease of what is [taken](Self::take).
    pub const LEASE: Duration = Duration::from_secs(30);

    /// How many events a store keeps unless a test says otherwise: more than any test makes.
    pub const EVENTS: u32 = 100_000;

    /// A memory broker that keeps this many events, as do those below.
    pub async fn memory(events: u32) -> Self {
        let clock = Clock::system();
        let events = usize::try_from(events).expect("a test keeps few");
        let broker = MemoryBroker::with_clock(clock.clone()).keeping_events(events);
        Self::of(broker.connection(), clock)
    }

    /// A SQLite broker on a file.
    pub async fn sqlite(events: u32) -> Self {
        let (clock, folder) = (Clock::system(), folder());
        let store = sqlite(&folder, &clock, events).await;
        Self { folder: Some(folder), ..Self::of(store, clock) }
    }

    /// A PostgreSQL broker in a schema of its own on the server that tests share.
    pub async fn postgres(events: u32) -> Self {
        let clock = Clock::system();
        Self::of(postgres(&clock, events).await, clock)
    }

    /// A MariaDB broker with tables of its own on the server that tests share.
    pub async fn mysql(events: u32) -> Self {
        let server = MariaDb::shared();
        let clock = Clock::system();
        let options = MysqlOptions::parse(server.url()).expect("the server knows its URL");
        let options = options.prefix(&server.prefix()).expect("it is named in plain letters");
        let options = options.clock(clock.clone()).events(events);
        let broker = MysqlBroker::open(options).await.expect("the server is there");
        Self::of(broker.connection(), clock)
    }

    /// RabbitMQ, with the jobs in a file of SQLite.
    pub async fn rabbitmq_with_sqlite(events: u32) -> Self {
        let (clock, folder) = (Clock::system(), folder());
        let store = sqlite(&folder, &clock, events).await;
        Self { folder: Some(folder), ..Self::composed(store, clock).await }
    }

    /// RabbitMQ, with the jobs in PostgreSQL.
    pub async fn rabbitmq_with_postgres(events: u32) -> Self {
        let clock = Clock::system();
        Self::composed(postgres(&clock, events).await, clock).await
    }

    /// RabbitMQ alone, which keeps no events. Only leases go by the clock of the test.
    pub async fn rabbitmq(_: u32) -> Self {
        let (clock, queues) = (Clock::system(), Queues::new());
        let broker = AmqpBroker::open(queues.options().lease_clock(clock.clone())).await;
        let broker = broker.expect("the server is there");
        Self { queues: Some(queues), ..Self::of(broker.connection(), clock) }
    }

    async fn composed(store: Connection, clock: Clock) -> Self {
        let queues = Queues::new();
        let composed = Composed::open(queues.options(), store).await;
        let composed = composed.expect("the server is there");
        Self { queues: Some(queues), ..Self::of(composed, clock) }
    }

    fn of(connection: Connection, clock: Clock) -> Self {
        let (client, journal) = (Client::new(connection), Journal::new());
        Self { client, journal, clock, queues: None, folder: None }
    }

    /// The broker's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lets the broker's time pass.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// A worker of this store, with every task that the test program links.
    pub fn worker(&self) -> WorkerBuilder {
        Worker::builder(self.client.clone()).without_hooks().provide(self.journal.clone())
    }

    /// Runs what is due until nothing is.
    pub async fn drain(&self) -> Snapshot {
        self.drain_with(self.worker()).await
    }

    /// Runs what is due until nothing is, with this worker.
    pub async fn drain_with(&self, worker: WorkerBuilder) -> Snapshot {
        let worker = worker.burst().build();
        let status = worker.status();
        worker.run(&Shutdown::new()).await.expect("the worker starts");
        status.snapshot()
    }

    /// Starts a worker of this store beside the test.
    pub fn start(&self) -> Running {
        self.start_with(self.worker())
    }

    /// Starts this worker beside the test.
    pub fn start_with(&self, worker: WorkerBuilder) -> Running {
        let (worker, shutdown) = (worker.build(), Shutdown::new());
        let status = worker.status();
        let stop = shutdown.clone();
        let ended = tokio::spawn(async move { worker.run(&stop).await });
        Running { shutdown, status, ended }
    }

    /// Does the broker's upkeep once, as every worker does now and then.
    pub async fn upkeep(&self) -> Upkeep {
        self.broker().maintain(&Maintain::default()).await.expect("the store is open")
    }

    /// Waits until this has happened to a job.
    ///
    /// # Panics
    ///
    /// If the store tells no events.
    pub async fn until(&self, kind: EventKind, job: JobId) {
        let mut events = self.client.events().from_oldest();
        while let Some(followed) = events.next().await {
            if let Followed::Event(event) = followed.expect("the store tells what happens")
                && (event.kind, event.job) == (kind, job)
            {
                return;
            }
        }
    }

    /// Leases up to `max` jobs of the default queue for 30 s, as a worker does that then dies.
    pub async fn take(&self, max: u32) -> Vec<Delivery> {
        self.take_from(QueueName::DEFAULT.as_str(), max).await
    }

    /// Takes jobs of this queue as a worker does, and does nothing with them.
    pub async fn take_from(&self, queue: &str, max: u32) -> Vec<Delivery> {
        let queue = QueueName::new(queue).expect("a test names its queues well");
        let max = NonZeroU32::new(max).expect("a worker takes at least one");
        let request = Reserve {
            queues: vec![QueueShare { queue, max }],
            max,
            lease: Self::LEASE,
            wait: Duration::ZERO,
            interrupt: CancellationToken::new(),
            worker: "taker".to_owned(),
        };
        self.broker().reserve(&request).await.expect("the store is open")
    }

    /// The broker, as a worker sees it.
    pub fn broker(&self) -> Arc<dyn Broker> {
        self.client.connection().expect("a world is connected").broker.clone()
    }

    /// What the command line would work through.
    pub fn operate(&self) -> Arc<dyn Operate> {
        let open = self.client.connection().expect("a world is connected");
        open.operate.clone().expect("each broker lists jobs")
    }

    /// How many jobs wait in the default queue, for a worker or for their time.
    pub async fn waiting(&self) -> u64 {
        let depth = self.broker().depth(&[QueueName::DEFAULT]).await.expect("the broker is there");
        let [Depth { ready, scheduled, .. }] = depth[..] else { panic!("one queue was asked for") };
        ready.unwrap_or_default() + scheduled.unwrap_or_default()
    }

    /// All jobs that the store knows, oldest first.
    pub async fn jobs(&self) -> Vec<JobRecord> {
        let mut jobs = self.operate().jobs(&JobFilter::default()).await.expect("the store lists");
        jobs.sort_by_key(|job| job.id);
        jobs
    }
}

async fn sqlite(folder: &TempDir, clock: &Clock, events: u32) -> Connection {
    let options = SqliteOptions::file(folder.path().join("tasks.db"));
    let broker = SqliteBroker::open(options.clock(clock.clone()).events(events)).await;
    broker.expect("a new file can be opened").connection()
}

async fn postgres(clock: &Clock, events: u32) -> Connection {
    let server = Postgres::shared();
    let options = PostgresOptions::parse(server.url()).expect("the server knows its URL");
    let options = options.schema(&server.schema()).expect("it is named in plain letters");
    let broker = PostgresBroker::open(options.clock(clock.clone()).events(events)).await;
    broker.expect("the server is there").connection()
}

/// A worker beside the test.
#[derive(Debug)]
pub struct Running {
    /// Asks it to stop.
    pub shutdown: Shutdown,
    /// What it says of itself.
    pub status: Arc<Status>,
    ended: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// Asks it to stop, and waits.
    pub async fn stop(self) -> Result<(), WorkerError> {
        self.shutdown.request();
        self.ended().await
    }

    /// Waits until it ends.
    pub async fn ended(self) -> Result<(), WorkerError> {
        self.ended.await.expect("a worker does not panic")
    }
}

/// A runtime that is left behind, also by a test that panics: a plain function that never returns
/// must not turn a failure into a hang.
struct Leave(Option<tokio::runtime::Runtime>);

impl Leave {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("it is there until it is dropped").block_on(future)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How long a test may take. Far beyond what is needed; it turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test in a new world, in the scope of its client.
///
/// # Panics
///
/// If the test does, or if it hangs.
pub fn run<W, T>(world: impl FnOnce() -> W, test: impl FnOnce(World) -> T)
where
    W: Future<Output = World>,
    T: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system gives a runtime two threads");
    let case = async {
        let world = world().await;
        let (client, queues) = (world.client.clone(), world.queues.clone());
        client.scope(test(world)).await;
        // A test may have closed it already.
        let _ = client.close().await;
        if let Some(queues) = queues {
            queues.erase().await;
        }
    };
    let runtime = Leave(Some(runtime));
    let in_time = runtime.block_on(async { tokio::time::timeout(LIMIT, case).await });
    assert!(in_time.is_ok(), "the test hangs: it took longer than {LIMIT:?}");
}
