//! The tables, who may have made them, and what is refused.

use taskbroker_database::mysql::MysqlBroker;
use taskcore::broker::{Broker, ConnectError};

use crate::rig::{Rig, SCHEMA, jobs, store, take};

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
    raw.run(
        "CREATE TABLE {t}schema (version bigint PRIMARY KEY); INSERT INTO {t}schema VALUES (99)",
    )
    .await;
    let error = MysqlBroker::open(rig.options()).await.unwrap_err();
    let ConnectError::NewerSchema { found, supported, .. } = &error else { panic!("{error}") };
    assert_eq!((*found, *supported), (99, SCHEMA));
    let (text, up_to) = (error.to_string(), format!("up to {SCHEMA}"));
    assert!(text.contains(&rig.prefix) && text.contains("99") && text.contains(&up_to), "{text}");
    assert_eq!(raw.number("SELECT count(*) FROM {t}schema").await, 1);
}
