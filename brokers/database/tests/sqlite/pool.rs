//! A user's own pool instead of a path.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{Broker, ConnectError};

use crate::rig::{Rig, done, jobs, refusal, settle, store, take};

/// Settings that are not ours, on one connection.
fn pool(rig: &Rig) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(rig.path()).create_if_missing(true);
    let options = options
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(1234))
        .synchronous(SqliteSynchronous::Normal)
        .pragma("application_id", "4711");
    SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options)
}

#[tokio::test]
async fn jobs_are_in_the_file_of_the_pool_and_its_connection_is_not_needed() {
    let rig = Rig::new();
    let pool = pool(&rig);
    let mut held = pool.acquire().await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER)").execute(&mut *held).await.unwrap();
    let broker = SqliteBroker::open(pool.clone()).await.unwrap();
    store(&broker, &jobs(1)).await;
    let delivery = take(&broker, 1).await.remove(0);
    settle(&broker, done(&delivery)).await;
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM hereafter_job")
        .fetch_one(&mut *held)
        .await
        .unwrap();
    assert_eq!(jobs, 1);
    broker.close().await.unwrap();
}

#[tokio::test]
async fn the_pool_keeps_its_settings_and_we_take_those_that_are_not_ours() {
    let rig = Rig::new();
    let pool = pool(&rig);
    let broker = SqliteBroker::open(pool.clone()).await.unwrap();
    store(&broker, &jobs(1)).await;
    for (pragma, value) in [("foreign_keys", 1), ("busy_timeout", 1234), ("synchronous", 1)] {
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}")))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(found, value, "{pragma}");
    }
    broker.close().await.unwrap();

    // A file that nobody but the broker has opened.
    let rig = Rig::new();
    let broker = SqliteBroker::open(self::pool(&rig)).await.unwrap();
    broker.close().await.unwrap();
    let mut raw = rig.raw().await;
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut raw).await.unwrap();
    assert_eq!(id, 4711);
}

#[tokio::test]
async fn options_of_ours_go_with_a_pool() {
    let rig = Rig::new();
    let pool = pool(&rig);
    let options = SqliteOptions::pool(pool.clone()).prefix("jobs_").unwrap().polling();
    let broker = SqliteBroker::open(options).await.unwrap();
    store(&broker, &jobs(2)).await;
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs_job").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, 2);
}

#[tokio::test]
async fn a_database_that_nobody_else_can_open_is_refused_with_what_to_do() {
    for url in ["sqlite::memory:", "sqlite://some?mode=memory"] {
        let pool = SqlitePool::connect(url).await.unwrap();
        let text = refusal(SqliteOptions::pool(pool)).await;
        assert!(text.contains("in memory") && text.contains("a pool of a file"), "{url}: {text}");
    }
    let private = SqlitePoolOptions::new().connect_lazy_with(SqliteConnectOptions::new());
    let text = refusal(SqliteOptions::pool(private.clone())).await;
    assert!(text.contains("in memory"), "{text}");
    let error = SqliteBroker::pending(private).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_closed_pool_is_refused() {
    let rig = Rig::new();
    let pool = pool(&rig);
    pool.close().await;
    let text = refusal(SqliteOptions::pool(pool)).await;
    assert!(text.contains("its pool is closed"), "{text}");
    assert!(rig.files().is_empty());
}
