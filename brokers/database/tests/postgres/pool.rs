//! A user's own pool instead of a URL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{PgConnection, Row};
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskcore::broker::{Broker, BrokerError, Enqueued, JobFilter, NewJob, Operate};
use taskcore::{Clock, QueueName, error_chain};
use taskservers::Postgres;

use crate::rig::{Rig, done, in_time, job, jobs, listening, refusal, settle, store, take, until};

/// The pool of an application that knows its connections by their name.
fn pool(rig: &Rig, max: u32) -> PgPool {
    let options: PgConnectOptions = rig.url.parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(max).acquire_timeout(SHORT);
    pool.connect_lazy_with(options.application_name(NAME))
}

const NAME: &str = "their application";

/// For what is to fail.
const SHORT: Duration = Duration::from_secs(2);

fn options(rig: &Rig, pool: &PgPool) -> PostgresOptions {
    PostgresOptions::pool(pool.clone()).schema(&rig.schema).unwrap()
}

async fn open(rig: &Rig, pool: &PgPool) -> Arc<PostgresBroker> {
    PostgresBroker::open(options(rig, pool)).await.unwrap()
}

/// Something of every kind: writes that are durable and not, and reads.
async fn work(broker: &PostgresBroker) {
    store(broker, &jobs(3)).await;
    let deliveries = take(broker, 3).await;
    for delivery in &deliveries {
        settle(broker, done(delivery)).await;
    }
    broker.depth(&[QueueName::DEFAULT]).await.unwrap();
    broker.jobs(&JobFilter::default()).await.unwrap();
}

/// Waits until the pool has got all of them back.
async fn is_whole(pool: &PgPool) {
    until("the pool has all its connections", async || {
        pool.num_idle() == usize::try_from(pool.size()).unwrap()
    })
    .await;
}

async fn sessions(connection: &mut PgConnection) -> BTreeMap<String, i64> {
    let rows = sqlx::query(
        "SELECT application_name, count(*) FROM pg_stat_activity
         WHERE backend_type = 'client backend' GROUP BY 1",
    );
    let rows = rows.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_pool_opens_one_connection_besides_and_a_heartbeat_two() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let pool = pool(&rig, 2);
    let broker = open(&rig, &pool).await;
    work(&broker).await;
    listening(&broker).await;
    let mut own = rig.raw().await.sql;
    let seen = sessions(&mut own).await;
    assert!((1..=2).contains(&seen[NAME]), "{seen:?}");
    assert_eq!(seen["hereafter"], 1, "{seen:?}");

    let heartbeat = broker.another().await.unwrap();
    work(&heartbeat).await;
    let seen = sessions(&mut own).await;
    // One that listens; two that write and one that reads, for a heartbeat does not only beat here.
    assert_eq!(seen["hereafter"], 4, "{seen:?}");

    broker.close().await.unwrap();
    heartbeat.close().await.unwrap();
    is_whole(&pool).await;
    in_time(pool.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_left_on_a_connection() {
    let rig = Rig::shared();
    let pool = pool(&rig, 3);
    let before = left(&pool).await;
    let clock = Clock::system();
    let broker = PostgresBroker::open(options(&rig, &pool).clock(clock.clone())).await.unwrap();
    join_all((0..10).map(|_| work(&broker))).await;
    // It is rolled back when it finds a job that has expired, and begins again by itself.
    store(&broker, &[NewJob { expires_in: Some(SHORT), ..job() }]).await;
    clock.advance(SHORT);
    assert!(take(&broker, 1).await.is_empty());
    broker.close().await.unwrap();
    is_whole(&pool).await;
    assert_eq!(left(&pool).await, before);
}

/// What somebody has left on the connections that the pool may have.
async fn left(pool: &PgPool) -> Vec<String> {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    let mut left = Vec::new();
    for connection in &mut held {
        // Unprepared, so that it is a transaction of its own if there is none.
        let found = sqlx::raw_sql(
            "SELECT name || ' is ' || setting FROM pg_settings WHERE source = 'session'
             UNION ALL SELECT 'listens to ' || channel FROM pg_listening_channels() AS channel
             UNION ALL SELECT 'has prepared ' || statement FROM pg_prepared_statements
             UNION ALL SELECT 'has locked ' || objid FROM pg_locks
                 WHERE pid = pg_backend_pid() AND locktype = 'advisory'
             UNION ALL SELECT 'has begun' WHERE now() <> statement_timestamp()",
        );
        let found = found.fetch_all(&mut **connection).await.unwrap();
        left.extend(found.iter().map(|row| row.get::<String, _>(0)));
    }
    left
}

/// Made on a thread of ours, which stands still afterwards, it would never answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_made_for_us_serves_its_owner() {
    let rig = Rig::shared();
    let pool = pool(&rig, 2);
    let broker = open(&rig, &pool).await;
    is_whole(&pool).await;
    while let Some(made) = pool.try_acquire() {
        made.close().await.unwrap();
    }
    store(&broker, &jobs(1)).await;
    is_whole(&pool).await;
    let mut connection = pool.try_acquire().expect("it was made to store the job");
    let answer = sqlx::query_scalar::<_, i32>("SELECT 7").fetch_one(&mut *connection);
    assert_eq!(in_time(answer).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_two_serves_many_at_once() {
    let rig = Rig::shared();
    let broker = open(&rig, &pool(&rig, 2)).await;
    let stored = join_all((0..200).map(|_| async {
        let job = job();
        assert_eq!(broker.enqueue(std::slice::from_ref(&job)).await.unwrap(), [Enqueued::Stored]);
        broker.depth(&[QueueName::DEFAULT]).await.unwrap();
        let deliveries = take(&broker, 1).await;
        for delivery in &deliveries {
            settle(&broker, done(delivery)).await;
        }
        deliveries.len()
    }));
    assert_eq!(in_time(stored).await.iter().sum::<usize>(), 200);
}

#[tokio::test]
async fn a_pool_that_cannot_serve_is_refused_with_what_to_do() {
    let rig = Rig::shared();
    let text = refusal(options(&rig, &pool(&rig, 1))).await;
    assert!(text.contains("max_connections(2)"), "{text}");
    let closed = pool(&rig, 5);
    closed.close().await;
    let text = refusal(options(&rig, &closed)).await;
    assert!(text.contains("its pool is closed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_connections_are_all_taken_is_told_and_the_heartbeat_does_not_care() {
    let rig = Rig::shared();
    let pool = pool(&rig, 2);
    let broker = open(&rig, &pool).await;
    let heartbeat = broker.duplicate().await.unwrap();
    store(&broker, &jobs(1)).await;
    let delivery = take(&broker, 1).await.remove(0);
    is_whole(&pool).await;

    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let error = in_time(broker.enqueue(&jobs(1))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error:?}");
    let text = error_chain(&error);
    assert!(text.contains("no connection of the pool") && text.contains("give it more"), "{text}");
    let error = in_time(broker.depth(&[QueueName::DEFAULT])).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error:?}");
    let receipts = [delivery.receipt.clone()];
    in_time(heartbeat.extend(&receipts, Duration::from_secs(30))).await.unwrap();

    drop(held);
    in_time(work(&broker)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_closed_closes_the_store() {
    let rig = Rig::shared();
    let pool = pool(&rig, 3);
    let broker = open(&rig, &pool).await;
    work(&broker).await;
    // It waits for all connections, so none is kept.
    in_time(pool.close()).await;
    let error = in_time(broker.enqueue(&jobs(1))).await.unwrap_err();
    assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}");
    let error = in_time(broker.depth(&[QueueName::DEFAULT])).await.unwrap_err();
    assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}");
    in_time(broker.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_pool_that_were_ended_are_not_noticed_by_callers() {
    let server = Postgres::start();
    let rig = Rig::on(&server);
    let options: PgConnectOptions = rig.url.parse().unwrap();
    // So that the pool does not find out by itself.
    let pool = PgPoolOptions::new().max_connections(3).test_before_acquire(false);
    let pool = pool.connect_lazy_with(options);
    let broker = open(&rig, &pool).await;
    work(&broker).await;
    for _ in 0..5 {
        is_whole(&pool).await;
        server.psql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        let job = job();
        until("a job is stored", async || {
            in_time(broker.enqueue(std::slice::from_ref(&job))).await.is_ok()
        })
        .await;
        until("the queue is counted", async || {
            in_time(broker.depth(&[QueueName::DEFAULT])).await.is_ok()
        })
        .await;
    }
    assert_eq!(take(&broker, 10).await.len(), 5);
}
