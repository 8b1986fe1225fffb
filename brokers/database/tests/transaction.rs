//! Jobs inside a transaction of the application, on each database.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]

use std::num::NonZeroU32;
use std::time::Duration;

use sqlx::{
    Database, MySql, MySqlPool, PgPool, Pool, Postgres as Pg, Sqlite, SqlitePool, Transaction,
};
use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskbroker_database::{CompleteError, CompleteIn, DelayAllIn, DelayIn, OpenTransaction};
use taskcore::broker::{
    CancelScope, Delivery, Extended, JobFilter, JobState, Keep, QueueShare, Reserve, Settled,
    Settlement, Verdict,
};
use taskcore::{
    Client, Completing, Context, ContextParts, DelayError, Handle, JobError, OnConflict, QueueName,
    TraceParent, error_chain, register_task,
};
use taskservers::{MariaDb, Postgres};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

#[register_task(crate = taskcore)]
fn double(number: u64) -> u64 {
    number * 2
}

/// A store in the application's own database.
struct Place<D: Database> {
    client: Client,
    pool: Pool<D>,
    _folder: Option<TempDir>,
}

async fn sqlite() -> Place<Sqlite> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let broker = SqliteBroker::open(SqliteOptions::file(&path)).await.unwrap();
    let pool = SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    Place { client: Client::new(broker.connection()), pool, _folder: Some(folder) }
}

async fn postgres() -> Place<Pg> {
    let server = Postgres::shared();
    let options = PostgresOptions::parse(server.url()).unwrap();
    let options = options.schema(&server.schema()).unwrap();
    let broker = PostgresBroker::open(options).await.unwrap();
    let pool = PgPool::connect(server.url()).await.unwrap();
    Place { client: Client::new(broker.connection()), pool, _folder: None }
}

async fn mysql() -> Place<MySql> {
    let server = MariaDb::shared();
    let options = MysqlOptions::parse(server.url()).unwrap().prefix(&server.prefix()).unwrap();
    let broker = MysqlBroker::open(options).await.unwrap();
    let pool = MySqlPool::connect(server.url()).await.unwrap();
    Place { client: Client::new(broker.connection()), pool, _folder: None }
}

impl<D: Database> Place<D> {
    async fn stored(&self) -> usize {
        let operate = self.client.connection().unwrap().operate.clone().unwrap();
        operate.jobs(&JobFilter::default()).await.unwrap().len()
    }

    async fn take(&self, wait: Duration) -> Vec<Delivery> {
        let max = NonZeroU32::new(10).unwrap();
        let request = Reserve {
            queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
            max,
            lease: Duration::from_secs(30),
            wait,
            interrupt: CancellationToken::new(),
            worker: "test".to_owned(),
        };
        self.client.connection().unwrap().broker.reserve(&request).await.unwrap()
    }

    async fn take_one(&self) -> Delivery {
        let mut deliveries = self.take(Duration::from_secs(10)).await;
        assert_eq!(deliveries.len(), 1);
        deliveries.remove(0)
    }

    async fn settle(&self, delivery: &Delivery, verdict: Verdict) -> Settled {
        let settlement =
            Settlement { job: delivery.job, receipt: delivery.receipt.clone(), verdict };
        let broker = &self.client.connection().unwrap().broker;
        broker.settle(&[settlement]).await.unwrap()[0]
    }

    /// What the task of this delivery would be given.
    fn context(&self, delivery: &Delivery) -> Context {
        Context::new(ContextParts {
            job: delivery.job,
            task: delivery.task.clone(),
            attempt: 1,
            deadline: None,
            trace: TraceParent::root(),
            client: Some(self.client.clone()),
            cancelled: CancellationToken::new(),
            voice: None,
            completing: Some(Completing {
                receipt: delivery.receipt.clone(),
                keep: KEEP,
                result_limit: 100,
                tried: std::sync::Arc::default(),
            }),
        })
    }
}

const KEEP: Keep = Keep::For(Duration::from_secs(3600));

fn done(result: &[u8]) -> Verdict {
    Verdict::Done { result: Some(result.to_vec().into()), keep: KEEP }
}

/// Mounts each test on each database.
macro_rules! on_each {
    ($($name:ident)*) => {
        mod on_sqlite { $(
            #[tokio::test]
            async fn $name() {
                let place = super::sqlite().await;
                super::$name(place).await;
            }
        )* }
        mod on_postgres { $(
            #[tokio::test]
            async fn $name() {
                let place = super::postgres().await;
                super::$name(place).await;
            }
        )* }
        mod on_mysql { $(
            #[tokio::test]
            async fn $name() {
                let place = super::mysql().await;
                super::$name(place).await;
            }
        )* }
    };
}

on_each! {
    a_job_is_there_if_the_transaction_commits
    a_job_is_not_there_if_the_transaction_is_rolled_back
    a_waiting_worker_gets_the_job_after_the_commit
    what_cannot_be_stored_leaves_the_transaction_usable
    many_calls_and_calls_in_calls_are_stored_together
    a_unique_key_is_held_from_within_the_transaction
    a_task_may_end_in_its_own_transaction
    a_task_that_rolls_back_has_not_ended
    what_waits_for_a_task_runs_after_its_transaction
    a_delivery_that_is_over_cannot_be_ended
    a_direct_call_has_no_delivery_to_end
}

async fn a_job_is_there_if_the_transaction_commits<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut transaction = place.pool.begin().await.unwrap();
    let delayed = place.client.scope(double(21).delay_in(&mut transaction)).await;
    let handle: Handle<u64> = delayed.unwrap();
    transaction.commit().await.unwrap();
    let delivery = place.take_one().await;
    assert_eq!(delivery.job, handle.id());
    assert_eq!(place.settle(&delivery, done(b"42")).await, Settled::Applied);
    assert_eq!(handle.await.unwrap(), 42);
    let stats = place.client.stats().await.unwrap();
    assert_eq!((stats[0].stored, stats[0].done), (1, 1));
}

async fn a_job_is_not_there_if_the_transaction_is_rolled_back<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut transaction = place.pool.begin().await.unwrap();
    place.client.delay_in(double(1), &mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = place.pool.begin().await.unwrap();
    place.client.delay_in(double(1), &mut transaction).await.unwrap();
    // Nobody sees it before.
    assert_eq!(place.stored().await, 0);
    drop(transaction);
    // The store takes other jobs as before.
    double(2).delay_on(&place.client).await.unwrap();
    assert_eq!(place.stored().await, 1);
}

async fn a_waiting_worker_gets_the_job_after_the_commit<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut transaction = place.pool.begin().await.unwrap();
    let handle = place.client.delay_in(double(1), &mut transaction).await.unwrap();
    let (taken, ()) = tokio::join!(place.take(Duration::from_secs(20)), async {
        transaction.commit().await.unwrap();
    });
    assert_eq!(taken[0].job, handle.id());
}

async fn what_cannot_be_stored_leaves_the_transaction_usable<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    double(1).unique("one").delay_on(&place.client).await.unwrap();
    let mut transaction = place.pool.begin().await.unwrap();
    let twice = place.client.delay_in(double(1).unique("one"), &mut transaction).await;
    assert!(matches!(twice.unwrap_err(), DelayError::Duplicate { .. }));
    let nowhere = place.client.delay_in(double(1).queue("no queue!"), &mut transaction).await;
    assert!(matches!(nowhere.unwrap_err(), DelayError::Option { .. }));
    let reused = double(1).unique("one").on_conflict(OnConflict::Reuse);
    place.client.delay_in(reused, &mut transaction).await.unwrap();
    place.client.delay_in(double(2), &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(place.stored().await, 2);
}

async fn many_calls_and_calls_in_calls_are_stored_together<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut transaction = place.pool.begin().await.unwrap();
    let calls = (0..500).map(double);
    let handles = place.client.delay_all_in(calls, &mut transaction).await.unwrap();
    assert_eq!(handles.len(), 500);
    let outer = place.client.delay_in(double(double(3)), &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(place.stored().await, 502);
    assert_eq!(outer.state().await.unwrap(), Some(JobState::Blocked));
}

async fn a_unique_key_is_held_from_within_the_transaction<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut transaction = place.pool.begin().await.unwrap();
    place.client.delay_in(double(1).unique("one"), &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let twice = double(1).unique("one").delay_on(&place.client).await;
    assert!(matches!(twice.unwrap_err(), DelayError::Duplicate { .. }));
}

async fn a_task_may_end_in_its_own_transaction<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let handle = double(21).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    let context = place.context(&delivery);
    let mut transaction = place.pool.begin().await.unwrap();
    context.complete_in(&mut transaction, &42_u64).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(JobState::Running));
    transaction.commit().await.unwrap();
    assert_eq!(handle.await.unwrap(), 42);
    assert_eq!(place.settle(&delivery, done(b"43")).await, Settled::Stale);
}

async fn a_task_that_rolls_back_has_not_ended<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let handle = double(21).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    let context = place.context(&delivery);
    let mut transaction = place.pool.begin().await.unwrap();
    context.complete_in(&mut transaction, &42_u64).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(JobState::Running));
    assert_eq!(place.settle(&delivery, done(b"43")).await, Settled::Applied);
    assert_eq!(handle.await.unwrap(), 43);
}

async fn what_waits_for_a_task_runs_after_its_transaction<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let outer = double(double(3)).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    let mut transaction = place.pool.begin().await.unwrap();
    let context = place.context(&delivery);
    context.complete_in(&mut transaction, &6_u64).await.unwrap();
    assert_eq!(outer.state().await.unwrap(), Some(JobState::Blocked));
    transaction.commit().await.unwrap();
    assert_eq!(place.take_one().await.job, outer.id());
}

async fn a_delivery_that_is_over_cannot_be_ended<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let handle = double(1).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    place.client.cancel(&[handle.id()], CancelScope::WithInputs).await.unwrap();
    let mut transaction = place.pool.begin().await.unwrap();
    let context = place.context(&delivery);
    let error = context.complete_in(&mut transaction, &2_u64).await.unwrap_err();
    assert!(matches!(error, CompleteError::Stale { .. }), "{error}");
    assert!(error.to_string().ends_with("roll back"));
    transaction.rollback().await.unwrap();
    assert!(matches!(handle.await.unwrap_err(), JobError::Cancelled { .. }));
}

async fn a_direct_call_has_no_delivery_to_end<D: Database>(place: Place<D>)
where
    Transaction<'static, D>: OpenTransaction,
{
    let mut parts = place.take(Duration::ZERO).await;
    assert!(parts.pop().is_none());
    let mut transaction = place.pool.begin().await.unwrap();
    let error = detached(&place.client).complete_in(&mut transaction, &()).await.unwrap_err();
    assert!(matches!(error, CompleteError::Detached { .. }), "{error}");
}

/// The context of a task that runs here.
fn detached(client: &Client) -> Context {
    Context::new(ContextParts {
        job: taskcore::JobId::new(),
        task: "task".to_owned(),
        attempt: 1,
        deadline: None,
        trace: TraceParent::root(),
        client: Some(client.clone()),
        cancelled: CancellationToken::new(),
        voice: None,
        completing: None,
    })
}

async fn refusal(client: &Client, transaction: &mut impl OpenTransaction) -> String {
    error_chain(&client.delay_in(double(1), transaction).await.unwrap_err())
}

#[tokio::test]
async fn a_transaction_of_another_database_is_refused_with_what_to_do() {
    let (here, there) = (sqlite().await, postgres().await);
    let error = refusal(&here.client, &mut there.pool.begin().await.unwrap()).await;
    assert!(error.contains("connect a client to the database of the transaction"), "{error}");
    let error = refusal(&there.client, &mut here.pool.begin().await.unwrap()).await;
    assert!(error.contains("connect a client to the database of the transaction"), "{error}");
}

#[tokio::test]
async fn a_client_of_another_broker_is_refused_with_what_to_use() {
    let place = sqlite().await;
    let mut transaction = place.pool.begin().await.unwrap();
    let error = refusal(&Client::eager(), &mut transaction).await;
    assert!(error.contains("use SQLite"), "{error}");
}

#[tokio::test]
async fn a_database_without_our_tables_says_migrate() {
    let place = postgres().await;
    sqlx::query("CREATE DATABASE bare_of_tables").execute(&place.pool).await.ok();
    let url = Postgres::shared().url().replace("/postgres", "/bare_of_tables");
    let url = url.replacen("/bare_of_tables@", "/postgres@", 1);
    let pool = PgPool::connect(&url).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let error = refusal(&place.client, &mut transaction).await;
    assert!(error.contains("run `migrate`"), "{error}");
    // The transaction goes on.
    sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("bare.db").display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    let error = refusal(&sqlite().await.client, &mut pool.begin().await.unwrap()).await;
    assert!(error.contains("migrate"), "{error}");
}

#[tokio::test]
async fn a_long_transaction_of_one_task_costs_no_other_its_lease() {
    let place = postgres().await;
    for number in 0..2 {
        double(number).delay_on(&place.client).await.unwrap();
    }
    let taken = place.take(Duration::from_secs(10)).await;
    let mut transaction = place.pool.begin().await.unwrap();
    place.context(&taken[0]).complete_in(&mut transaction, &1_u64).await.unwrap();
    let receipts: Vec<_> = taken.iter().map(|delivery| delivery.receipt.clone()).collect();
    let broker = &place.client.connection().unwrap().broker;
    let extending = broker.extend(&receipts, Duration::from_secs(60));
    let extended = tokio::time::timeout(Duration::from_secs(8), extending).await;
    assert_eq!(extended.unwrap().unwrap(), [Extended::Held; 2]);
    transaction.commit().await.unwrap();
    let extended = broker.extend(&receipts, Duration::from_secs(60)).await.unwrap();
    assert_eq!(extended, [Extended::Lost, Extended::Held]);
}

#[tokio::test]
async fn a_transaction_that_has_the_store_for_itself_costs_nobody_his_lease() {
    let place = postgres().await;
    double(1).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    let mut transaction = place.pool.begin().await.unwrap();
    // Nobody else may take the key before the commit.
    place.client.delay_in(double(2).unique("two"), &mut transaction).await.unwrap();
    let broker = &place.client.connection().unwrap().broker;
    let receipts = [delivery.receipt.clone()];
    let extending = broker.extend(&receipts, Duration::from_secs(60));
    let extended = tokio::time::timeout(Duration::from_secs(8), extending).await;
    assert_eq!(extended.unwrap().unwrap(), [Extended::Held]);
    let beginning = broker.begin(&delivery.receipt);
    let begun = tokio::time::timeout(Duration::from_secs(8), beginning).await;
    assert_eq!(begun.unwrap().unwrap(), Settled::Applied);
    transaction.commit().await.unwrap();
}

/// What a handler that has read something before is told.
async fn told_after_a_look<D: Database>(place: &Place<D>, begin: &'static str) -> String
where
    Transaction<'static, D>: OpenTransaction,
    for<'c> &'c mut D::Connection: sqlx::Executor<'c, Database = D>,
{
    double(1).delay_on(&place.client).await.unwrap();
    let delivery = place.take_one().await;
    let mut transaction = place.pool.begin_with(begin).await.unwrap();
    let look = sqlx::raw_sql("SELECT count(*) FROM information_schema.tables");
    sqlx::Executor::execute(&mut *transaction, look).await.unwrap();
    // Somebody delays a call that waits for the job: the transaction has to see it.
    double(2).delay_on(&place.client).await.unwrap();
    let completed = place.context(&delivery).complete_in(&mut transaction, &2_u64).await;
    // A plain call asks for nothing of the kind.
    place.client.delay_in(double(3), &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(place.stored().await, 3);
    completed.map_or_else(|error| error_chain(&error), |()| String::new())
}

#[tokio::test]
async fn a_transaction_that_reads_the_past_is_refused_with_what_to_do() {
    let remedy = "begin the transaction with `READ COMMITTED`";
    let told = told_after_a_look(&postgres().await, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert!(told.contains(remedy), "{told}");
    assert_eq!(told_after_a_look(&postgres().await, "BEGIN").await, "");
    let snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
    let told = told_after_a_look(&mysql().await, snapshot).await;
    assert!(told.contains(remedy), "{told}");
    let afresh = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
    assert_eq!(told_after_a_look(&mysql().await, afresh).await, "");
}
