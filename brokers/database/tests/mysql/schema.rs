//! The tables, who may have made them, and what is refused.

use std::sync::Arc;

use taskbroker_database::mysql::MysqlBroker;
use taskcore::broker::{Broker, ConnectError};

use crate::rig::{Rig, SCHEMA, jobs, refusal, store, take};

#[tokio::test]
async fn the_migrated_schema_is_the_one_on_file() {
    let rig = Rig::shared();
    rig.open().await.close().await.unwrap();
    let mut raw = rig.raw().await;
    let tables = format!(
        "SELECT table_name FROM information_schema.tables
         WHERE table_schema = 'test' AND table_name LIKE '{}%' ORDER BY table_name",
        rig.prefix.replace('_', "\\_")
    );
    let mut schema = String::new();
    for table in raw.texts(&tables).await {
        let shown = format!("SHOW CREATE TABLE test.{table}");
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(shown)).fetch_all(&mut raw.sql).await.unwrap();
        let text: String = sqlx::Row::get_unchecked(&rows[0], 1);
        // Numbers that were given are no part of it.
        let (text, _) = text.rsplit_once(") ENGINE=InnoDB").unwrap();
        schema += &format!("{})\n\n", text.replace(&rig.prefix, ""));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mysql/schema.txt");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let on_file = std::fs::read_to_string(path).unwrap();
    assert_eq!(schema, on_file, "if it is meant to differ, run again with UPDATE_SCHEMA=1");
}

#[tokio::test]
async fn of_programs_that_start_together_one_migrates_and_all_work() {
    let rig = Rig::shared();
    let opened = futures::future::join_all((0..8).map(|_| rig.open())).await;
    for broker in &opened {
        store(broker, &jobs(3)).await;
    }
    let mut raw = rig.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM {t}job").await, 24);
    assert_eq!(raw.number("SELECT count(*) FROM {t}schema").await, SCHEMA);
}

#[tokio::test]
async fn a_migration_that_was_interrupted_is_run_again() {
    let rig = Rig::shared();
    rig.open().await.close().await.unwrap();
    let mut raw = rig.raw().await;
    raw.run("DELETE FROM {t}schema; DROP TABLE {t}chunk; DROP TABLE {t}log").await;
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    assert_eq!(take(&broker, 1).await.len(), 1);
    assert_eq!(raw.number("SELECT count(*) FROM {t}chunk").await, 0);
}

#[tokio::test]
async fn newer_tables_are_refused_with_both_versions_and_left_as_they_are() {
    let rig = Rig::shared();
    let mut raw = rig.raw().await;
    raw.run("CREATE TABLE {t}schema (version bigint PRIMARY KEY); INSERT INTO {t}schema VALUES (99)").await;
    let error = MysqlBroker::open(rig.options()).await.unwrap_err();
    let ConnectError::NewerSchema { found, supported, .. } = &error else { panic!("{error}") };
    assert_eq!((*found, *supported), (99, SCHEMA));
    let (text, up_to) = (error.to_string(), format!("up to {SCHEMA}"));
    assert!(text.contains(&rig.prefix) && text.contains("99") && text.contains(&up_to), "{text}");
    assert_eq!(raw.number("SELECT count(*) FROM {t}schema").await, 1);
}

#[tokio::test]
async fn who_only_looks_creates_nothing() {
    let rig = Rig::shared();
    let text = refusal(rig.options().existing()).await;
    assert!(text.contains("no tables of Hereafter") && text.contains(&rig.prefix), "{text}");
    let mut raw = rig.raw().await;
    let tables = format!(
        "SELECT count(*) FROM information_schema.tables WHERE table_name = '{}schema'",
        rig.prefix
    );
    assert_eq!(raw.number(&tables).await, 0);
    rig.open().await;
    MysqlBroker::open(rig.options().existing()).await.unwrap();
}

#[tokio::test]
async fn two_prefixes_in_one_database_do_not_see_each_other_s_jobs() {
    let (one, other) = (Rig::shared(), Rig::shared());
    let (first, second): (Arc<_>, Arc<_>) = (one.open().await, other.open().await);
    store(&first, &jobs(3)).await;
    assert!(take(&second, 10).await.is_empty());
    store(&second, &jobs(2)).await;
    assert_eq!(take(&first, 10).await.len(), 3);
    assert_eq!(take(&second, 10).await.len(), 2);
}
