//! One pool for an application, its worker, and the jobs in its transactions.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use hereafter::Client;
use hereafter::broker::Broker;
use hereafter::database::postgres::{PostgresBroker, PostgresOptions};
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker, WorkerConfig};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use taskservers::Postgres;

/// The table of the application.
#[derive(Debug, Clone)]
struct Mails {
    pool: PgPool,
    table: String,
}

impl Mails {
    fn insert(&self, order: i64) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {} VALUES ({order})", self.table))
    }
}

/// Writes a row and its own end in one transaction.
#[register_task(name = "pool::confirm")]
async fn confirm(cx: Context, State(mails): State<Mails>, order: i64) -> anyhow::Result<()> {
    let mut transaction = mails.pool.begin().await?;
    transaction.execute(mails.insert(order)).await?;
    cx.complete_in(&mut transaction, &()).await?;
    Ok(transaction.commit().await?)
}

async fn store(order: i64, client: &Client, pool: &PgPool) -> Handle<()> {
    if order % 2 == 0 {
        return confirm(order).delay_on(client).await.unwrap();
    }
    let mut transaction = pool.begin().await.unwrap();
    let job = client.delay_in(confirm(order), &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    job
}

/// More jobs than connections at a time, each with one of them in hand.
const ORDERS: i64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn one_small_pool_serves_an_application_and_its_worker() {
    let server = Postgres::shared();
    let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60));
    let pool = pool.connect(server.url()).await.unwrap();
    let mails = Mails { pool: pool.clone(), table: server.prefix() + "mails" };
    pool.execute(AssertSqlSafe(format!("CREATE TABLE {} (n bigint PRIMARY KEY)", mails.table)))
        .await
        .unwrap();

    let options = PostgresOptions::pool(pool.clone()).schema(&server.schema()).unwrap();
    let broker = PostgresBroker::open(options).await.unwrap();
    let client = Client::new(broker.connection());
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::new(8).unwrap();
    let worker = Worker::builder(client.clone()).config(config).without_hooks();
    let worker = worker.provide(mails.clone()).build();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let working = tokio::spawn(async move { worker.run(&stop).await });

    // Half of them inside of transactions of the application.
    let jobs = join_all((0..ORDERS).map(|order| store(order, &client, &pool)));
    try_join_all(jobs.await).await.unwrap();
    shutdown.request();
    working.await.unwrap().unwrap();

    let count = format!("SELECT count(*) FROM {}", mails.table);
    let written: i64 =
        sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mails.pool).await.unwrap();
    assert_eq!(written, ORDERS);
    broker.close().await.unwrap();
    mails.pool.close().await;
}
